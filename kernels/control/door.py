"""Where a control process comes in: a Unix socket that hands out the arena and the doorbells.

One control process at a time (the rings have one writer). A connection that ended makes room at once,
so a killed control process can come back.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
import struct
from pathlib import Path

GREETING_OCTETS = 1 << 20  # longest description
MESSAGE_OCTETS = 65_536  # longest message, either way
MESSAGES = 16  # taken at a time: workers are watched in between
BUSY = b'{"error": "busy"}'
REFUSED = b'{"error": "refused"}'


class Door:
    """The listening socket and the one connection. OSError when another holder listens there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._control: socket.socket | None = None
        _remove_stale(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        before = os.umask(0o177)
        try:
            self._listener.bind(path)
        finally:
            os.umask(before)
        self._listener.listen(8)

    def fileno(self) -> int:
        """Readable when somebody knocks."""
        return self._listener.fileno()

    @property
    def control_fd(self) -> int | None:
        """The connection's descriptor (readable when it ended)."""
        return None if self._control is None else self._control.fileno()

    def give_to(self, uid: int, gid: int) -> None:
        """Before privileges are dropped: the socket belongs to the user that stays."""
        os.chown(self._path, uid, gid)

    def admit(self, description: dict[str, object], fds: list[int]) -> str:
        """Answer one knock: what became of it ("attached", "busy", "refused", "gone"), for the log."""
        try:
            visitor, _ = self._listener.accept()
        except OSError:
            return "gone"
        with contextlib.suppress(OSError):
            if peer_uid(visitor) not in (0, os.geteuid()):
                visitor.send(REFUSED)
            elif self.control_present():
                visitor.send(BUSY)
            else:
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, GREETING_OCTETS)
                socket.send_fds(visitor, [json.dumps(description).encode()], fds)
                visitor.setblocking(False)
                self._control = visitor
                return "attached"
            visitor.close()
            return "busy or refused"
        visitor.close()
        return "gone"

    def control_present(self) -> bool:
        """Is the control process still there? Forgets one that ended."""
        if self._control is None:
            return False
        poll = select.poll()
        poll.register(self._control, select.POLLRDHUP)
        if poll.poll(0):
            self._forget()
        return self._control is not None

    def messages(self) -> list[bytes]:
        """What the control process says, a few messages at a time. Forgets one that ended."""
        found: list[bytes] = []
        while self._control is not None and len(found) < MESSAGES:
            try:
                message = self._control.recv(MESSAGE_OCTETS)
            except BlockingIOError:
                break
            except OSError:
                message = b""
            if message:
                found.append(message)
            else:
                self._forget()
        return found

    def tell(self, news: dict[str, object]) -> None:
        """A line of news to the control process, if there is one that reads."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps(news).encode())

    def close_in_child(self) -> None:
        """A worker must not keep the door's descriptors open."""
        self._listener.close()
        if self._control is not None:
            self._control.close()

    def close(self) -> None:
        """End everything and remove the path."""
        self.close_in_child()
        with contextlib.suppress(OSError):
            Path(self._path).unlink()

    def _forget(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def peer_uid(connection: socket.socket) -> int:
    """SO_PEERCRED."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _remove_stale(path: str) -> None:
    """A socket that nobody listens on is a leftover; anything else at that path is not ours to remove."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(f"{path}: exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise OSError(f"{path}: another media holder is listening")
