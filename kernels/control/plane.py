"""The control process's handle on the media plane (contract: docs/architecture.md).

No asyncio here: the control process adds `fileno()` to its loop and calls `poll()` when it is readable.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any

from kernels.control.arena import Arena
from kernels.control.ban_table import Network
from kernels.control.commands import Address, BanReply, Command, InstallFlow, PortNews, Punt, Reply, WorkerNews
from kernels.control.door import GREETING_OCTETS
from kernels.control.errors import LayoutMismatch, PlaneBusy, RingFull
from kernels.control.mailbox import Mailbox
from kernels.control.next_hops import Gone, Row, write_next_hops
from kernels.control.status import (
    CryptoStatus,
    FlowStatus,
    InterfaceInfo,
    KeptDatagram,
    PlaneInfo,
    WorkerInfo,
    WorkerStatus,
)

News = Reply | Punt | WorkerNews | PortNews | BanReply

__all__ = ["LayoutMismatch", "MediaPlane", "PlaneBusy", "RingFull"]

MOST_FDS = 250  # of one SCM_RIGHTS message (SCM_MAX_FD is 253)
TAKE_OVER_S = 2.0  # how long attach waits for a predecessor to be gone
RETRY_S = 0.02


class MediaPlane:
    """An attached media plane. Made by `attach`; one at a time per holder."""

    def __init__(self, connection: socket.socket, description: dict[str, Any], fds: list[int]) -> None:
        self._connection = connection
        self._memory, self._news, *self._doorbells = fds
        self._arena = Arena(self._memory)
        self._arena.check()
        self._mailboxes = [Mailbox(self._arena, i) for i in range(self._arena.workers)]
        self.info = _info(description, self._arena)
        self._places = list(self.info.interfaces)
        self._per_worker = self._arena.capacities()["sockets"]
        self._share = self._per_worker // len(self._places)
        self._sockets = {
            name: (index * self._share, interface)
            for index, (name, interface) in enumerate(self.info.interfaces.items())
        }
        self._hops = self._arena.next_hops()
        self._epoll = select.epoll()
        self._epoll.register(self._news, select.EPOLLIN)
        self._epoll.register(connection, select.EPOLLIN)
        self._connected = True
        self._tickets = itertools.count(1)
        self.cookie_secret = self._arena.cookie_secret  # what workers make DTLS cookies with

    @classmethod
    def attach(cls, socket_path: str) -> MediaPlane:
        """Connect to the holder, map the arena, compare the layout. LayoutMismatch, PlaneBusy, OSError."""
        deadline = time.monotonic() + TAKE_OVER_S
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            fds: list[int] = []
            try:
                connection.settimeout(TAKE_OVER_S)
                connection.connect(socket_path)
                description, fds = _greet(connection)
                connection.setblocking(False)
                return cls(connection, description, fds)
            except BaseException as error:
                connection.close()
                for fd in fds:
                    os.close(fd)
                if not isinstance(error, PlaneBusy) or time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def fileno(self) -> int:
        """Readable when replies, punted packets or worker news wait."""
        return self._epoll.fileno()

    def submit(self, worker: int, command: Command, *, wake: bool = True) -> int:
        """Give a command to a worker; its ticket. RingFull, ValueError (not our interface or port, bad address).
        Without `wake` the worker may sleep on: others follow at once, and then `wake`."""
        number = self._socket_number(worker, command) if type(command) is InstallFlow else None
        ticket = self._mailboxes[worker].submit(command, number)
        if wake:
            self.wake(worker)
        return ticket

    def wake(self, worker: int) -> None:
        """Wake a worker for what was handed down without. No harm once the plane is closed."""
        if not self._epoll.closed:
            os.eventfd_write(self._doorbells[worker], 1)

    def poll(self) -> list[News]:
        """Everything that waits, without blocking. ConnectionError once the holder is gone."""
        out: list[News] = []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._news)
        for mailbox in self._mailboxes:
            mailbox.take(out)
        self._take_news(out)
        if not self._connected and not out:
            raise ConnectionResetError("the media holder is gone")
        return out

    def inject(self, worker: int, flow: int, data: bytes, to: Address, *, wake: bool = True) -> None:
        """Send a datagram from a flow's socket; `wake` as for `submit`. RingFull, ValueError."""
        self._mailboxes[worker].inject(flow, data, to[0], to[1])
        if wake:
            self.wake(worker)

    def flow(self, worker: int, slot: int) -> FlowStatus:
        """Snapshot of a flow. KeyError when the slot is empty."""
        return self._mailboxes[worker].flow(slot, self._place)

    def crypto(self, worker: int, slot: int) -> CryptoStatus:
        """Snapshot of a crypto, without keys. KeyError when the slot is empty."""
        return self._mailboxes[worker].crypto(slot)

    def samples(self, worker: int, slots: Container[int]) -> list[KeptDatagram]:
        """What a worker kept of datagrams that failed on these flows, oldest first."""
        return self._mailboxes[worker].samples(slots)

    def flows(self, worker: int) -> list[int]:
        """Flow slots in use."""
        return self._mailboxes[worker].flows()

    def cryptos(self, worker: int) -> list[int]:
        """Crypto slots in use."""
        return self._mailboxes[worker].cryptos()

    def counters(self, worker: int) -> dict[str, int]:
        """By name; drops by Drop name in lower case. At most 10 ms old."""
        return self._mailboxes[worker].counters()

    def worker(self, worker: int) -> WorkerStatus:
        """State, process, CPU time."""
        return self._mailboxes[worker].worker()

    def set_next_hops(self, rows: Iterable[Row], gone: Iterable[Gone] = ()) -> int:
        """Write rows of the next-hop table, empty those of `gone`; how many found no place. ValueError: bad MAC."""
        return write_next_hops(self._hops, self._places, rows, gone)

    def wanted_next_hops(self) -> list[tuple[str, Address]]:
        """(interface, (address, 0)) that workers sent to by kernel socket for want of a row, since the last call."""
        return [(self._places[number], (address, 0)) for number, address in self._arena.take_wanted()]

    def transfers(self) -> list[tuple[str, int]]:
        """(state, move) of every transfer record; state: empty, filling, full, taken."""
        return self._arena.transfers()

    # -- banned sources (kernels.control.bans): each returns the ticket of the BanReply that `poll` will bring.
    # RingFull: the holder does not keep up; try again later. OSError: it is gone. At most 500 networks at a time.

    def ban(self, bans: Sequence[tuple[Network, float | None]]) -> int:
        """Networks and for how many seconds; None: for ever. One that is banned gets the new end."""
        return self._say("ban", bans=[(str(network), seconds) for network, seconds in bans])

    def unban(self, networks: Sequence[Network]) -> int:
        """Absent is no error."""
        return self._say("unban", networks=[str(network) for network in networks])

    def count_bans(self, networks: Sequence[Network]) -> int:
        """How much of theirs was dropped."""
        return self._say("count", networks=[str(network) for network in networks])

    def guard_ports(self, ports: Iterable[int]) -> int:
        """The UDP and TCP ports that sk_lookup keeps from the banned (XDP keeps all)."""
        return self._say("guard", ports=sorted(set(ports)))

    def begin_bans(self) -> int:
        """What `ban` does not name from here to `end_bans` ends there: a new control process has the whole list."""
        return self._say("begin")

    def end_bans(self) -> int:
        """See `begin_bans`."""
        return self._say("end")

    def close(self) -> None:
        """Detach; calls go on. Twice is no error."""
        if not self._epoll.closed:
            self._epoll.close()
            self._connection.close()
            for fd in (self._memory, self._news, *self._doorbells):
                os.close(fd)

    # -- helpers -----------------------------------------------------------------------------------------

    def _socket_number(self, worker: int, command: InstallFlow) -> int:
        if command.interface not in self._sockets:
            raise ValueError(f"no interface {command.interface!r}")
        base, interface = self._sockets[command.interface]
        owner = next((i for i, ports in enumerate(interface.ports) if command.port in ports), None)
        if owner is not None and command.port not in interface.busy:
            number = base + owner * self._per_worker + command.port - interface.ports[owner].start
            if worker in (owner, self._arena.home(number)):  # a call that moved took its ports along
                return number
        raise ValueError(f"port {command.port} of {command.interface} is not worker {worker}'s")

    def _place(self, number: int) -> tuple[str, int]:
        worker, number = divmod(number, self._per_worker)
        name = self._places[number // self._share]
        return name, self.info.interfaces[name].ports[worker].start + number % self._share

    def _say(self, what: str, **words: object) -> int:
        ticket = next(self._tickets)
        try:
            self._connection.send(json.dumps({"ticket": ticket, "do": what, **words}).encode())
        except BlockingIOError:
            raise RingFull from None
        return ticket

    def _take_news(self, out: list[News]) -> None:
        while self._connected:
            try:
                line = self._connection.recv(65536)
            except BlockingIOError:
                return
            if not line:
                self._connected = False  # the descriptor stays readable, so poll() is called again
                return
            news = json.loads(line)
            if news["event"] == "port":
                out.append(self._port_news(news))
                continue
            if news["event"] == "bans":
                out.append(_ban_reply(news))
                continue
            out.append(WorkerNews(news["worker"], news["event"], news["pid"], news["restarts"], news["reason"]))

    def _port_news(self, news: dict[str, Any]) -> PortNews:
        """Also brings `info` up to date."""
        names = tuple(news["interfaces"])
        why = news["reason"] if news["kind"] == "udp" else ""
        changed = {name: replace(self.info.interfaces[name], port_kind=news["kind"], why=why) for name in names}
        self.info = replace(
            self.info, port_kind=news["port_kind"], why=news["plane_why"], interfaces=self.info.interfaces | changed
        )
        return PortNews(names, news["device"], news["kind"], news["reason"])


def _greet(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The holder's description and descriptors: memory, news, a doorbell per worker."""
    data, fds, _, _ = socket.recv_fds(connection, GREETING_OCTETS, MOST_FDS)
    description = json.loads(data) if data else {"error": "refused"}
    if description.get("error") == "busy":
        raise PlaneBusy
    if "error" in description:
        raise PermissionError(f"media holder: {description['error']}")
    return description, list(fds)


def _ban_reply(news: dict[str, Any]) -> BanReply:
    words: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in news.items() if key != "event"
    }
    return BanReply(**words)


def _info(description: dict[str, Any], arena: Arena) -> PlaneInfo:
    room = arena.capacities()
    return PlaneInfo(
        version=description["version"],
        port_kind=description["port_kind"],
        cipher=description["cipher"],
        why=description["why"],
        workers=tuple(
            WorkerInfo(index, cpu, room["flows"], room["cryptos"], room["streams"])
            for index, cpu in enumerate(description["cores"])
        ),
        interfaces={
            name: InterfaceInfo(
                entry["address"],
                tuple(range(*ports) for ports in entry["ports"]),
                frozenset(entry["busy"]),
                entry["port"]["kind"],
                entry["port"]["why"],
                entry["port"]["device"],
            )
            for name, entry in description["interfaces"].items()
        },
        huge_pages=description["huge_pages"],
        ban_means=tuple(description["bans"]["means"]),
        ban_why=description["bans"]["why"],
    )
