"""What the routing script tells (ksr/say.py): messages on a Unix socket become `EdgeEvent`s for whoever watches.

The socket lies in Kamailio's run directory, where its group may write. Only connections of Kamailio's account, of root
and of our own are taken: the kernel says whose each one is (SO_PEERCRED). Nothing that arrives can raise.

Call set-up has the same event loop: messages are taken in rounds, with a rest between two, not one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import select
import socket
import stat
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from appliance.telemetry.bus import EventBus

MOST_OCTETS = 16_384  # of a message
MOST_DETAILS = 32
LONGEST = 1_024  # characters of one word
MOST_CONNECTIONS = 256  # Kamailio's processes are some dozens
AT_ONCE = 256  # messages of one connection in a round
REST_S = 0.02  # between two rounds
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (struct ucred)
_OWN = ("event", "reason", "rule", "status", "call_id", "method", "source")

log = structlog.get_logger("srtpgw.edge")


@dataclass(frozen=True)
class EdgeEvent:
    """One decision of the routing script."""

    time: float  # since the epoch
    event: str  # sip_refused, ...
    rule: str = ""  # also the label of the metric
    status: int = 0  # that was answered; 0: none
    call_id: str = ""
    method: str = ""
    source: str = ""  # address the request came from
    details: Mapping[str, str] = field(default_factory=dict)


class News:
    """The socket and its readers. `tick` opens it as soon as its directory is there, and again when Kamailio's run
    directory was made anew."""

    def __init__(self, path: Path, account: str = "", clock: Callable[[], float] = time.time) -> None:
        self.path, self._clock = path, clock
        self.bus: EventBus[EdgeEvent] = EventBus()
        self.received = self.refused = 0
        self._believed = _uids(account)
        self._socket: socket.socket | None = None
        self._ready: select.epoll | None = None  # of the listening socket and of all connections
        self._peers: dict[int, socket.socket] = {}
        self._resting: asyncio.TimerHandle | None = None
        self._inode = 0
        self._failed = ""

    def tick(self) -> None:
        if self._socket is not None and self._inode == _inode(self.path):
            return
        self._unhook()
        try:
            self._open()
            self._failed = ""
        except FileNotFoundError:
            return  # no edge has run here yet
        except OSError as error:
            if self._failed != (why := str(error.strerror)):
                log.warning("events of the SIP edge cannot be heard", socket=str(self.path), why=why)
                self._failed = why

    def close(self) -> None:
        if self._socket is not None and self._inode == _inode(self.path):
            self.path.unlink(missing_ok=True)
        self._unhook()
        self.bus.close()

    def take(self, message: bytes, cut: bool = False) -> None:
        """`cut`: it was longer than we read."""
        event = None if cut else parse(message, self._clock())
        if event is None:
            self.refused += 1
            return
        self.received += 1
        self.bus.publish(event)

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(self.path.lstat().st_mode):
                self.path.unlink()  # of a control process that was killed
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            before = os.umask(0o117)  # owner and group
            try:
                link.bind(str(self.path))
            finally:
                os.umask(before)
            os.chown(self.path, -1, self.path.parent.stat().st_gid, follow_symlinks=False)  # Kamailio's
            link.listen(MOST_CONNECTIONS)
        except OSError:
            link.close()
            raise
        self._socket, self._inode = link, _inode(self.path)
        self._ready = select.epoll()
        self._ready.register(link.fileno(), select.EPOLLIN)
        self._listen()

    def _unhook(self) -> None:
        if self._socket is None or self._ready is None:
            return
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        asyncio.get_running_loop().remove_reader(self._ready.fileno())
        self._ready.close()
        for link in (self._socket, *self._peers.values()):
            link.close()
        self._peers.clear()
        self._socket = self._ready = None

    def _listen(self) -> None:
        self._resting = None
        if self._ready is not None:
            asyncio.get_running_loop().add_reader(self._ready.fileno(), self._round)

    def _round(self) -> None:
        """Everything that waits; then nothing for a while."""
        if self._socket is None or self._ready is None:
            return
        for number, _ in self._ready.poll(0):
            if number == self._socket.fileno():
                self._accept(self._socket, self._ready)
            elif (peer := self._peers.get(number)) is not None and not self._read(peer):
                del self._peers[number]
                peer.close()
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._ready.fileno())
        self._resting = loop.call_later(REST_S, self._listen)

    def _accept(self, listening: socket.socket, ready: select.epoll) -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            if len(self._peers) >= MOST_CONNECTIONS or _uid(peer) not in self._believed:
                self.refused += 1
                peer.close()
                continue
            peer.setblocking(False)
            self._peers[peer.fileno()] = peer
            ready.register(peer.fileno(), select.EPOLLIN)

    def _read(self, peer: socket.socket) -> bool:
        """What one process has to say; False when it has gone."""
        for _ in range(AT_ONCE):
            try:
                data, _, flags, _ = peer.recvmsg(MOST_OCTETS)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self.take(data, bool(flags & socket.MSG_TRUNC))
        return True


def parse(message: bytes, now: float) -> EdgeEvent | None:
    """An event; None for what is none. Words are cut at LONGEST, at most MOST_DETAILS details are kept."""
    try:
        record = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(name := record.get("event"), str) or not name:
        return None
    status = record.get("status")
    others = [(_word(key), _word(value)) for key, value in record.items() if key not in _OWN]
    return EdgeEvent(
        time=now, event=name[:LONGEST], rule=_word(record.get("rule", record.get("reason"))),
        status=status if isinstance(status, int) and 0 <= status < 1000 else 0,
        call_id=_word(record.get("call_id")), method=_word(record.get("method")), source=_word(record.get("source")),
        details=dict(others[:MOST_DETAILS]),
    )  # fmt: skip


def _word(value: Any) -> str:
    """Text that protobuf can hold: no lone surrogates."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST].encode("utf-8", "replace").decode()


def _uid(peer: socket.socket) -> int:
    """Who connected, by the kernel."""
    return int(_CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1])


def _uids(account: str) -> frozenset[int]:
    found = {0, os.geteuid()}
    if account:
        with contextlib.suppress(KeyError):
            found.add(pwd.getpwnam(account).pw_uid)
    return frozenset(found)


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
