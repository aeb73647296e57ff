"""The way to the control process: one connection (SOCK_SEQPACKET) of each Kamailio process, made when it is needed.

Connected, because the kernel lets at most ten datagrams wait at an unconnected Unix socket (net.unix.max_dgram_qlen):
at a hundred calls a second that loses events whenever control is busy for a moment. A connection has room for hundreds.
"""

from __future__ import annotations

import os
import socket


class Link:
    """Never blocks, never raises."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._owner = 0  # process that connected: a fork inherits the object, not the connection

    def send(self, data: bytes) -> bool:
        """False: control is there, and has no room. Where nobody listens there is nothing to lose."""
        for _ in range(2):  # the first connection may be to a control process that is no more
            link = self._connected()
            if link is None:
                return True
            try:
                link.send(data, socket.MSG_NOSIGNAL)
                return True
            except BlockingIOError:
                return False
            except OSError:
                self._drop()
        return True

    def _connected(self) -> socket.socket | None:
        if self._owner != os.getpid():
            self._drop()
        if self._socket is None:
            link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                link.connect(self._path)
            except OSError:
                link.close()
                return None
            self._socket, self._owner = link, os.getpid()
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
