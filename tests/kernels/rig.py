"""Two ways to run the packet path: in this process over the memory port, or as the real processes on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kernels.control.arena import Arena, footprint
from kernels.control.commands import (
    Address,
    Command,
    DiscardTransfer,
    ExportStream,
    ImportStream,
    InstallCrypto,
    InstallFlow,
    MasterKeyBytes,
    Punt,
    Reply,
    Transform,
    WorkerNews,
)
from kernels.control.mailbox import Mailbox
from kernels.control.plane import MediaPlane
from kernels.control.worker import Worker
from kernels.port.memory import MemoryPort
from kernels.srtp.session import Session
from kernels.wire.packet import Drop

CM128 = Transform("AES_CM", "HMAC_SHA1", 16, 14, 10, 10)
NULL_AUTH = Transform("AES_CM", "HMAC_SHA1", 16, 14, 0, 10)
ALICE = ("192.0.2.1", 4000)
BOB = ("198.51.100.7", 5000)
MALLORY = ("203.0.113.66", 6666)


def rtp(sequence: int, payload: bytes = b"\xd5" * 160, ssrc: int = 0x11223344, kind: int = 0) -> bytes:
    """A plain RTP packet."""
    header = bytes([0x80, kind]) + (sequence & 0xFFFF).to_bytes(2) + (sequence * 160 & 0xFFFFFFFF).to_bytes(4)
    return header + ssrc.to_bytes(4) + payload


def rtcp(ssrc: int = 0x11223344) -> bytes:
    """A plain compound RTCP packet: sender report and source description."""
    report = bytes([0x80, 200, 0, 6]) + ssrc.to_bytes(4) + bytes(20)
    return report + bytes([0x81, 202, 0, 2]) + ssrc.to_bytes(4) + b"\x01\x01a\x00"


def master_key(number: int, mki: bytes = b"") -> MasterKeyBytes:
    """A key that a search of memory will find."""
    return MasterKeyBytes(bytes([0xA0 + number]) * 15 + b"\x5a", bytes([0xB0 + number]) * 13 + b"\xa5", mki)


def session(key: MasterKeyBytes, send: bool) -> Session:
    """The far end of a secure leg."""
    return Session(CM128, key.key, key.salt, send=send)


class LocalPlane:
    """One worker in this process, turn by turn; sockets are numbers."""

    SOCKETS = 16

    def __init__(self, calls: int = 8, learning_ms: int = 3000, slack: int | None = None) -> None:
        self.fd = os.memfd_create("test-arena")
        weakref.finalize(self, os.close, self.fd)
        os.ftruncate(self.fd, footprint(1, calls, self.SOCKETS))
        self.arena = Arena(self.fd)
        self.arena.format(1, calls, self.SOCKETS)
        self.learning_ms, self.slack = learning_ms, slack
        self.mailbox = Mailbox(self.arena, 0)
        self.start()

    def start(self) -> None:
        """A (further) worker attaches; the one before is forgotten as if killed."""
        self.port = MemoryPort(self.slack)
        self.worker = Worker(self.arena, 0, self.port, learning_ms=self.learning_ms)

    def do(self, *commands: Command) -> list[int | str]:
        """Submit, turn until answered; the errors in order."""
        tickets = [self.mailbox.submit(c, c.port if isinstance(c, InstallFlow) else None) for c in commands]
        replies: list[Any] = []
        for _ in range(len(commands)):
            self.worker.turn()
        self.mailbox.take(replies)
        answers = {reply.ticket: reply.error for reply in replies if isinstance(reply, Reply)}
        return [answers[ticket] for ticket in tickets]

    def send(self, number: int, *datagrams: bytes | Drop, source: Address = ALICE) -> list[tuple[int, bytes, Address]]:
        """Datagrams arrive on a socket; what was sent in consequence."""
        for start in range(0, len(datagrams), 512):
            for data in datagrams[start : start + 512]:
                assert isinstance(data, bytes)
                self.port.inject(number, data, *source)
            for _ in range(512 // 64):
                self.worker.turn()
        return self.port.collect()

    def flow(self, slot: int) -> Any:
        return self.mailbox.flow(slot, lambda number: ("memory", number))

    def counters(self) -> dict[str, int]:
        return {name: value for name, value in self.mailbox.counters().items() if value}


class LocalTeam:
    """Several workers in this process, turn by turn; worker i has the socket numbers from 16 i on."""

    SOCKETS = 16

    def __init__(self, workers: int = 2, calls: int = 8) -> None:
        self.fd = os.memfd_create("test-arena")
        weakref.finalize(self, os.close, self.fd)
        os.ftruncate(self.fd, footprint(workers, calls, self.SOCKETS))
        self.arena = Arena(self.fd)
        self.arena.format(workers, calls, self.SOCKETS)
        self.doorbells = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(workers)]
        for doorbell in self.doorbells:
            weakref.finalize(self, os.close, doorbell)
        self.mailboxes = [Mailbox(self.arena, i) for i in range(workers)]
        self.ports = [MemoryPort() for _ in range(workers)]
        self.workers = [self._worker(i) for i in range(workers)]

    def _worker(self, index: int) -> Worker:
        return Worker(self.arena, index, self.ports[index], doorbells=self.doorbells)

    def restart(self, index: int) -> None:
        """A further worker attaches; the one before is forgotten as if killed."""
        self.ports[index] = MemoryPort()
        self.workers[index] = self._worker(index)

    def do(self, worker: int, *commands: Command) -> list[int | str]:
        """Submit, turn until answered; the errors in order."""
        mailbox = self.mailboxes[worker]
        tickets = [mailbox.submit(c, c.port if isinstance(c, InstallFlow) else None) for c in commands]
        for _ in range(len(commands)):
            self.workers[worker].turn()
        replies: list[Any] = []
        mailbox.take(replies)
        answers = {reply.ticket: reply.error for reply in replies if isinstance(reply, Reply)}
        return [answers[ticket] for ticket in tickets]

    def turn(self, *workers: int) -> None:
        for worker in workers or range(len(self.workers)):
            self.workers[worker].turn()

    def counters(self, worker: int) -> dict[str, int]:
        return {name: value for name, value in self.mailboxes[worker].counters().items() if value}

    def home(self, number: int, worker: int, moving: bool = False) -> None:
        """Say in the arena who serves a socket."""
        self.poke(self.arena.homes + number, bytes([worker | (0x80 if moving else 0)]))

    def poke(self, offset: int, octets: bytes) -> None:
        """Write into the arena."""
        os.pwrite(self.fd, octets, offset)

    def peek(self, offset: int, count: int = 1) -> bytes:
        """Read from the arena."""
        return os.pread(self.fd, count, offset)

    def holds(self, octets: bytes) -> bool:
        """Are these octets anywhere in the arena?"""
        return octets in self.peek(0, self.arena.octets)


def export(move: int, to: int, record: int = 0, first: int = 0) -> ExportStream:
    """Of a `secure_bridge` whose slots begin with `first`."""
    return ExportStream(record, move, to, (first, first + 1, None, None), (first, first + 1, None, None))


def take(move: int, record: int = 0, first: int = 0) -> ImportStream:
    """Into slots from `first` on."""
    return ImportStream(record, move, (first, first + 1, None, None), (first, first + 1, None, None))


def discard(move: int, record: int = 0) -> DiscardTransfer:
    return DiscardTransfer(record, move)


def bridge(**changes: Any) -> list[InstallFlow]:
    """Flows 0 (Alice, socket 0) and 1 (Bob, socket 1), plain, RTP and RTCP muxed."""
    common: dict[str, Any] = {"rtp": True, "rtcp": True, "latching": "off"} | changes
    a: dict[str, Any] = {
        "slot": 0,
        "interface": "memory",
        "port": 0,
        "remote": ALICE,
        "rtp_partner": 1,
        "rtcp_partner": 1,
    }
    b: dict[str, Any] = {
        "slot": 1,
        "interface": "memory",
        "port": 1,
        "remote": BOB,
        "rtp_partner": 0,
        "rtcp_partner": 0,
    }
    return [InstallFlow(**(a | common)), InstallFlow(**(b | common))]


def secure_bridge(transform: Transform = CM128, **changes: Any) -> list[Command]:
    """Alice plain, Bob secure: crypto 0 opens what Bob sends (key 0), crypto 1 seals what he gets (key 1)."""
    a, b = bridge(latching="authenticated")
    b = InstallFlow(**({n: getattr(b, n) for n in b.__slots__} | {"receive": 0, "send": 1, "secure": True} | changes))
    return [
        InstallCrypto(0, transform, master_key(0), False),
        InstallCrypto(1, transform, master_key(1), True),
        a,
        b,
    ]


ENDS = ("forwarded", "punted", "handed_over", "ice_answered", "ice_refused", "cookies", "interrupted")


def balanced(counters: dict[str, int], drops: list[str]) -> bool:
    """Everything received came to an end: forwarded, punted, handed over, answered, dropped or cut off."""
    ended = sum(counters.get(name, 0) for name in (*ENDS, *drops))
    return counters.get("received", 0) == ended


class HolderProcess:
    """A media holder as in production, on loopback."""

    def __init__(self, folder: Path, first_port: int, **changes: Any) -> None:
        self.path = str(folder / "media.sock")
        self.log = folder / "log"
        configuration = {
            "socket": self.path,
            "cores": [min(os.sched_getaffinity(0))],
            "interfaces": [{"name": "default", "address": "127.0.0.1"}],
            "ports": [first_port, first_port + 39],
            "calls": 20,
        } | changes
        file = folder / "holder.json"
        file.write_text(json.dumps(configuration))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "kernels.control.holder", str(file)], stderr=log)
        try:
            wait_for(lambda: "media holder ready" in self.log.read_text() or self.process.poll() is not None, 60)
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.end()
            raise

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@contextlib.contextmanager
def holder(folder: Path, first_port: int, **changes: Any) -> Iterator[HolderProcess]:
    running = HolderProcess(folder, first_port, **changes)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def wait_for(condition: Callable[[], Any], seconds: float = 5) -> Any:
    """Poll a condition; its value, AssertionError when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Control:
    """What the control process does, in blocking form."""

    def __init__(self, path: str) -> None:
        self.plane = MediaPlane.attach(path)
        self.news: list[WorkerNews] = []
        self.punts: list[Punt] = []

    def do(self, *commands: Command, worker: int = 0) -> list[int | str]:
        tickets = [self.plane.submit(worker, command) for command in commands]
        answers: dict[int, int | str] = {}
        deadline = time.monotonic() + 5
        while len(answers) < len(tickets) and time.monotonic() < deadline:
            select.select([self.plane.fileno()], [], [], 0.5)
            answers |= {reply.ticket: reply.error for reply in self.poll()}
        return [answers[ticket] for ticket in tickets]

    def poll(self) -> list[Reply]:
        found = self.plane.poll()
        self.news += [item for item in found if isinstance(item, WorkerNews)]
        self.punts += [item for item in found if isinstance(item, Punt)]
        return [item for item in found if isinstance(item, Reply)]

    def await_news(self, event: str, seconds: float = 5) -> WorkerNews:
        def look() -> WorkerNews | None:
            self.poll()
            return next((item for item in self.news if item.event == event), None)

        found: WorkerNews = wait_for(look, seconds)
        return found


def endpoint(address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A phone's socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    forced = os.geteuid() == 0  # SO_RCVBUFFORCE: a reader that is late must not lose packets
    opened.setsockopt(socket.SOL_SOCKET, 33 if forced else socket.SO_RCVBUF, 1 << 22)
    opened.bind((address, port))
    opened.settimeout(10)  # who waits for silence says how long
    return opened


def drain(endpoint_socket: socket.socket, seconds: float = 0.3) -> list[bytes]:
    """Everything that arrives until it is quiet for so long."""
    endpoint_socket.settimeout(seconds)
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(endpoint_socket.recv(4096))
    return found
