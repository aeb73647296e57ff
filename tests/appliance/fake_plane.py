"""A media plane without packets, written to the contract in docs/architecture.md: it obeys commands, checks that their
order makes sense, and can be told to refuse, to stay silent, or to have full rings."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Container
from dataclasses import dataclass, field, replace

from kernels.control.commands import (
    TRANSFER_RECORDS,
    AddKey,
    Command,
    DiscardTransfer,
    ExportStream,
    ImportStream,
    InstallCrypto,
    InstallFlow,
    InstallIce,
    InstallRoutes,
    Punt,
    RemoveCrypto,
    RemoveFlow,
    RemoveKey,
    Reply,
    WorkerNews,
)
from kernels.control.errors import RingFull
from kernels.control.status import (
    CryptoStatus,
    FlowStatus,
    IceStatus,
    InterfaceInfo,
    KeptDatagram,
    KeyStatus,
    PlaneInfo,
    StreamStatus,
    WorkerInfo,
    WorkerStatus,
)


@dataclass
class FakeWorker:
    flows: dict[int, InstallFlow] = field(default_factory=dict)
    cryptos: dict[int, InstallCrypto] = field(default_factory=dict)
    keys: dict[int, list[AddKey]] = field(default_factory=dict)
    agents: dict[int, InstallIce] = field(default_factory=dict)
    routes: dict[int, InstallRoutes] = field(default_factory=dict)
    injected: list[tuple[int, bytes, tuple[str, int]]] = field(default_factory=list)  # flow slot, datagram, to
    log: list[Command] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # commands that a careful control process never sends


@dataclass
class FakeTransfer:
    move: int
    flow_slots: tuple[int | None, ...]
    crypto_slots: tuple[int | None, ...]
    flows: list[InstallFlow | None]
    cryptos: list[tuple[InstallCrypto, list[AddKey]] | None]
    taken: bool = False


class FakePlane:
    """`ring`: commands taken before RingFull until the next poll; `refuse`: command type -> errno name."""

    def __init__(
        self, workers: int = 2, ports: range = range(30000, 30400), flows: int = 400, cryptos: int = 400,
        interfaces: tuple[str, ...] = ("default", "outside"),
    ) -> None:  # fmt: skip
        share = len(ports) // workers
        shares = tuple(ports[i * share : (i + 1) * share] for i in range(workers))
        addresses = {name: InterfaceInfo(f"127.0.0.{i}", shares) for i, name in enumerate(interfaces, 1)}
        infos = tuple(WorkerInfo(i, i, flows, cryptos, cryptos * 4) for i in range(workers))
        self.info = PlaneInfo("1", "udp", "openssl", "fake", infos, addresses)
        self.workers = [FakeWorker() for _ in range(workers)]
        self.refuse: dict[type, str] = {}
        self.silent = False
        self.records: dict[int, FakeTransfer] = {}
        self.ring = 1024
        self.packets: dict[int, int] = {}  # flow slot -> packets that came in
        self.last_ns = 0
        self.ices: dict[int, IceStatus] = {}  # flow slot -> its agent
        self.kept: list[KeptDatagram] = []
        self.used: dict[bytes, tuple[int, int]] = {}  # master key -> RTP and RTCP packets under it, where not (7, 0)
        self.resyncs = 0
        self.news: list[Reply | Punt | WorkerNews] = []
        self._held: list[Reply] = []
        self._ticket = 0
        self._in_ring = 0
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._end = weakref.finalize(self, os.close, self._event)

    def fileno(self) -> int:
        return self._event

    def wake(self, worker: int) -> None:
        pass

    def submit(self, worker: int, command: Command, *, wake: bool = True) -> int:
        if self._in_ring >= self.ring:
            raise RingFull("full")
        self._in_ring += 1
        self._ticket += 1
        error = self.refuse.get(type(command))
        if error is None:
            error = self._obey(self.workers[worker], command)
        reply = Reply(worker, self._ticket, error or 0)
        (self._held if self.silent else self.news).append(reply)
        os.eventfd_write(self._event, 1)
        return self._ticket

    def speak(self) -> None:
        """End the silence: all held replies come at once."""
        self.silent = False
        self.news += self._held
        self._held = []
        os.eventfd_write(self._event, 1)

    def inject(self, worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None:
        self.workers[worker].injected.append((flow, data, to))

    def punt(self, worker: int, slot: int, kind: str, source: tuple[str, int], data: bytes) -> None:
        """A datagram goes up."""
        self.news.append(Punt(worker, slot, kind, source, data, time.monotonic_ns()))
        os.eventfd_write(self._event, 1)

    def poll(self) -> list[Reply | Punt | WorkerNews]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        news, self.news = self.news, []
        self._in_ring = len(self._held)
        return news

    def _obey(self, worker: FakeWorker, command: Command) -> str | None:
        worker.log.append(command)
        match command:
            case ExportStream():
                return self._export(worker, command)
            case ImportStream():
                return self._import(worker, command)
            case DiscardTransfer():
                held = self.records.get(command.record)
                if held is not None and held.move == command.move:
                    del self.records[command.record]
            case InstallCrypto():
                if command.also is not None and command.also not in worker.cryptos:
                    worker.faults.append("link to a context that is not there")
                worker.cryptos[command.slot] = command
                worker.keys.setdefault(command.slot, [])
            case AddKey():
                if command.slot not in worker.cryptos:
                    worker.faults.append("key for a context that is not there")
                worker.keys[command.slot].append(command)
            case RemoveKey():
                worker.keys[command.slot] = [k for k in worker.keys[command.slot] if k.key.mki != command.mki]
            case InstallFlow():
                for slot in (command.receive, command.send):
                    if slot is not None and slot not in worker.cryptos:
                        worker.faults.append("flow uses a context that is not there")
                used = [f for f in worker.flows.values() if f.slot != command.slot and not f.member]
                if command.member != any((f.interface, f.port) == (command.interface, command.port) for f in used):
                    worker.faults.append("member without a port" if command.member else "port used twice")
                worker.flows[command.slot] = command
            case InstallIce():
                if command.slot not in worker.flows or not worker.flows[command.slot].ice:
                    worker.faults.append("agent for a flow that has none")
                worker.agents[command.slot] = command
            case InstallRoutes():
                if command.slot not in worker.flows or worker.flows[command.slot].member:
                    worker.faults.append("routes of a flow that has no port")
                if any(route.flow not in worker.flows for route in command.routes):
                    worker.faults.append("route to a flow that is not there")
                worker.routes[command.slot] = command
            case RemoveFlow():
                worker.routes.pop(command.slot, None)
                worker.flows.pop(command.slot, None)
                worker.agents.pop(command.slot, None)
            case RemoveCrypto():
                if any(command.slot in (f.receive, f.send) for f in worker.flows.values()):
                    worker.faults.append("context removed under a flow")
                receiving = {f.receive for f in worker.flows.values()}
                if any(c.also == command.slot and c.slot in receiving for c in worker.cryptos.values()):
                    worker.faults.append("context removed under a link")
                worker.cryptos.pop(command.slot, None)
                worker.keys.pop(command.slot, None)

        return None

    def _export(self, worker: FakeWorker, command: ExportStream) -> str | None:
        held = self.records.get(command.record)
        if held is not None:
            return None if held.move == command.move else "EBUSY"
        if any(slot is not None and slot not in worker.flows for slot in command.flows) or any(
            slot is not None and slot not in worker.cryptos for slot in command.cryptos
        ):
            return "ENOENT"
        flows = [None if slot is None else worker.flows.pop(slot) for slot in command.flows]
        cryptos = [
            None if slot is None else (worker.cryptos.pop(slot), worker.keys.pop(slot)) for slot in command.cryptos
        ]
        self.records[command.record] = FakeTransfer(command.move, command.flows, command.cryptos, flows, cryptos)
        return None

    def _import(self, worker: FakeWorker, command: ImportStream) -> str | None:
        held = self.records.get(command.record)
        if held is None or held.move != command.move:
            return "ENOENT"
        slots = dict(zip(held.flow_slots, command.flows, strict=True))
        keys = dict(zip(held.crypto_slots, command.cryptos, strict=True))
        for flow in held.flows:
            if flow is not None:
                slot = slots[flow.slot]
                assert slot is not None
                worker.flows[slot] = replace(
                    flow, slot=slot, rtp_partner=slots.get(flow.rtp_partner), rtcp_partner=slots.get(flow.rtcp_partner),
                    receive=keys.get(flow.receive), send=keys.get(flow.send),
                )  # fmt: skip
        for slot, crypto in zip(command.cryptos, held.cryptos, strict=True):
            if crypto is not None and slot is not None:
                installed = replace(crypto[0], slot=slot, also=keys.get(crypto[0].also))
                worker.cryptos[slot], worker.keys[slot] = installed, crypto[1]
        held.flows, held.cryptos, held.taken = [], [None] * len(held.cryptos), True
        return None

    def transfers(self) -> list[tuple[str, int]]:
        return [
            ("empty", 0) if (held := self.records.get(i)) is None else ("taken" if held.taken else "full", held.move)
            for i in range(TRANSFER_RECORDS)
        ]

    def flows(self, worker: int) -> list[int]:
        return list(self.workers[worker].flows)

    def cryptos(self, worker: int) -> list[int]:
        return list(self.workers[worker].cryptos)

    def flow(self, worker: int, slot: int) -> FlowStatus:
        flow = self.workers[worker].flows[slot]
        count = self.packets.get(slot, 0)
        return FlowStatus(
            flow.slot, flow.interface, flow.port, flow.rtp, flow.rtcp, flow.remote, flow.rtp_partner, flow.rtcp_partner,
            flow.receive, flow.send, flow.secure, flow.may_send, flow.may_receive, flow.latching, flow.remote, False,
            count, count * 172, 0, 0, self.last_ns, None, 0, 0, {"auth_fail": 2} if flow.receive is not None else {},
            ice=self.ices.get(slot),
        )  # fmt: skip

    def crypto(self, worker: int, slot: int) -> CryptoStatus:
        crypto = self.workers[worker].cryptos[slot]
        transform = crypto.transform
        stream = StreamStatus(1, 3, (3 << 16) + 5, None, 7, 1)
        return CryptoStatus(
            slot, "ready", crypto.send, transform.cipher, transform.auth, transform.key_octets, transform.rtp_tag,
            transform.rtcp_tag, 1 + len(self.workers[worker].keys[slot]), b"", 7, 1000, 7, 0, 0, 0, self.resyncs, 1,
            (stream,), {}, self._each_key(worker, slot),
        )  # fmt: skip

    def _each_key(self, worker: int, slot: int) -> tuple[KeyStatus, ...]:
        keys = [self.workers[worker].cryptos[slot].key, *(added.key for added in self.workers[worker].keys[slot])]
        return tuple(
            KeyStatus(
                key.mki, place == 0, *self.used.get(key.key, (7, 0)), key.rtp_lifetime or 1 << 48,
                key.rtcp_lifetime or 1 << 31,
            )
            for place, key in enumerate(keys)
        )  # fmt: skip

    def samples(self, worker: int, slots: Container[int]) -> list[KeptDatagram]:
        return [sample for sample in self.kept if sample.flow in slots]

    def counters(self, worker: int) -> dict[str, int]:
        return {"received": 10, "forwarded": 9}

    def worker(self, worker: int) -> WorkerStatus:
        return WorkerStatus("run", 1000 + worker, worker, 0, 0, 0)

    def close(self) -> None:
        self._end()

    # ---------------------------------------------------------------- looking, for tests

    def empty(self) -> bool:
        return not any(worker.flows or worker.cryptos for worker in self.workers)

    def faults(self) -> list[str]:
        return [fault for worker in self.workers for fault in worker.faults]
