"""The front's end of one handshake process: start it, send and hear messages, notice its end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable

from appliance.handshakes import messages
from appliance.launch.child import environment

BUFFER = 4 << 20  # octets each way, as far as the system allows
BATCH = 64  # messages heard before other things of the loop have their turn


class Process:
    """Running from construction on. `hear` gets each message, `ended` is called once when it has gone by itself.

    Datagrams that it is too busy for are lost, as they may be anywhere; what it must know waits for it."""

    def __init__(
        self, secret: bytes, mtu: int, hear: Callable[[bytes], None], ended: Callable[[Process], None]
    ) -> None:
        self._hear, self._ended = hear, ended
        self._waiting: deque[bytes] = deque()
        self.lost = 0  # datagrams
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self._socket, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            for end in (self._socket, far):
                for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                    end.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            self._child = subprocess.Popen(
                [sys.executable, "-m", "appliance.handshakes.worker", str(far.fileno()), str(mtu)],
                pass_fds=[far.fileno()], stdin=subprocess.DEVNULL, env=environment(),
            )  # fmt: skip
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self.send(secret)

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, message: bytes) -> None:
        """What it must know."""
        if self._waiting or not self._try(message):
            if not self._waiting:
                self._loop.add_writer(self._socket, self._writable)
            self._waiting.append(message)

    def datagram(self, message: bytes) -> None:
        if self._waiting or not self._try(message):
            self.lost += 1

    def stop(self) -> None:
        """End it. It has nothing to keep."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._waiting.clear()
        self._socket.close()
        self._child.kill()
        self._child.wait()

    def _try(self, message: bytes) -> bool:
        try:
            self._socket.send(message)
        except BlockingIOError:
            return False
        except OSError:
            return True  # gone: the reader tells
        return True

    def _writable(self) -> None:
        while self._waiting and self._try(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                message = self._socket.recv(messages.LONGEST)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self.stop()
                self._ended(self)
                return
            self._hear(message)
            if self._socket.fileno() < 0:  # stopped by what it told
                return
