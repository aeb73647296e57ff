"""A media plane of real workers in this process, over memory ports: the control side's commands move real packets."""

from __future__ import annotations

import contextlib
import os
import weakref
from typing import Any

from kernels.control.commands import Address, Command, InstallFlow, Punt, Reply, WorkerNews
from kernels.control.status import CryptoStatus, FlowStatus, InterfaceInfo, PlaneInfo, WorkerInfo, WorkerStatus
from tests.kernels.rig import LocalTeam

FIRST_PORT = 30000


class PacketPlane:
    """Two workers, one interface, ports FIRST_PORT.. in the order of socket numbers. What `Rig` uses of a FakePlane."""

    def __init__(self, workers: int = 2, calls: int = 8) -> None:
        self.team = LocalTeam(workers, calls)
        share = self.team.SOCKETS
        ports = tuple(range(FIRST_PORT + i * share, FIRST_PORT + (i + 1) * share) for i in range(workers))
        infos = tuple(WorkerInfo(i, i, 4 * calls, 4 * calls, 8 * calls) for i in range(workers))
        self.info = PlaneInfo("1", "memory", "openssl", "test", infos, {"default": InterfaceInfo("127.0.0.1", ports)})
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        weakref.finalize(self, os.close, self._event)

    def fileno(self) -> int:
        return self._event

    def wake(self, worker: int) -> None:
        pass

    def submit(self, worker: int, command: Command, *, wake: bool = True) -> int:
        socket = command.port - FIRST_PORT if isinstance(command, InstallFlow) else None
        os.eventfd_write(self._event, 1)
        return self.team.mailboxes[worker].submit(command, socket)

    def inject(self, worker: int, flow: int, data: bytes, to: Address, *, wake: bool = True) -> None:
        self.team.mailboxes[worker].inject(flow, data, *to)

    def poll(self) -> list[Reply | Punt | WorkerNews]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        news: list[Any] = []
        for _ in range(8):
            self.team.turn()
        for mailbox in self.team.mailboxes:
            mailbox.take(news)
        return news

    def arrive(self, worker: int, port: int, source: Address, *datagrams: bytes) -> list[tuple[int, bytes, Address]]:
        """Datagrams reach a port of ours at one worker; what all workers then send: (from port, data, to)."""
        for data in datagrams:
            self.team.ports[worker].inject(port - FIRST_PORT, data, *source)
        for _ in range(4):
            self.team.turn()
        sent = [one for each in self.team.ports for one in each.collect()]
        return [(FIRST_PORT + number, data, to) for number, data, to in sent]

    def flows(self, worker: int) -> list[int]:
        return self.team.mailboxes[worker].flows()

    def cryptos(self, worker: int) -> list[int]:
        return self.team.mailboxes[worker].cryptos()

    def transfers(self) -> list[tuple[str, int]]:
        return self.team.arena.transfers()

    def flow(self, worker: int, slot: int) -> FlowStatus:
        return self.team.mailboxes[worker].flow(slot, lambda number: ("default", FIRST_PORT + number))

    def crypto(self, worker: int, slot: int) -> CryptoStatus:
        return self.team.mailboxes[worker].crypto(slot)

    def counters(self, worker: int) -> dict[str, int]:
        return self.team.mailboxes[worker].counters()

    def worker(self, worker: int) -> WorkerStatus:
        return self.team.mailboxes[worker].worker()
