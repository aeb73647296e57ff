"""What the media plane has and what of it is given away: slots and ports of every worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from appliance.placement.placer import Load, Need, place
from appliance.placement.ports import PortAllocator
from appliance.placement.slots import SlotAllocator


class WorkerFacts(Protocol):
    """What is read of `kernels.control.plane.WorkerInfo`."""

    @property
    def index(self) -> int: ...
    @property
    def cpu(self) -> int: ...
    @property
    def flows(self) -> int: ...
    @property
    def cryptos(self) -> int: ...


class InterfaceFacts(Protocol):
    """What is read of `kernels.control.plane.InterfaceInfo`."""

    @property
    def address(self) -> str: ...
    @property
    def ports(self) -> tuple[range, ...]: ...
    @property
    def busy(self) -> frozenset[int]: ...


class PlaneFacts(Protocol):
    """What is read of `kernels.control.plane.PlaneInfo`."""

    @property
    def workers(self) -> tuple[WorkerFacts, ...]: ...
    @property
    def interfaces(self) -> Mapping[str, InterfaceFacts]: ...


@dataclass(slots=True)
class WorkerInventory:
    """One worker: what is free, and how loaded it is."""

    index: int
    cpu: int
    flows: SlotAllocator
    cryptos: SlotAllocator
    ports: dict[str, PortAllocator] = field(default_factory=dict)
    calls: int = 0
    available: bool = True
    busy: float = 0.0

    def load(self) -> Load:
        return Load(
            worker=self.index,
            available=self.available,
            calls=self.calls,
            busy=self.busy,
            flows_free=self.flows.free,
            cryptos_free=self.cryptos.free,
            ports_free={name: ports.free for name, ports in self.ports.items()},
        )


class Inventory:
    """All workers and the addresses of all interfaces."""

    def __init__(self, facts: PlaneFacts, port_rest_s: float = 1.0) -> None:
        self.addresses = {name: interface.address for name, interface in facts.interfaces.items()}
        self.workers = [
            WorkerInventory(
                index=worker.index,
                cpu=worker.cpu,
                flows=SlotAllocator(worker.flows, "flow"),
                cryptos=SlotAllocator(worker.cryptos, "crypto"),
                ports={
                    name: PortAllocator(interface.ports[worker.index], port_rest_s, interface.busy)
                    for name, interface in facts.interfaces.items()
                },
            )
            for worker in facts.workers
        ]

    def __getitem__(self, worker: int) -> WorkerInventory:
        return self.workers[worker]

    def choose(self, need: Need) -> int:
        """The worker for a new call. NoCapacity."""
        return place([worker.load() for worker in self.workers], need)


def need(legs: Iterable[tuple[str, str]]) -> Need:
    """What streams between these pairs of interfaces take: four ports and four flows, two contexts (one secure leg)."""
    ports: dict[str, int] = {}
    streams = 0
    for a, b in legs:
        streams += 1
        ports[a] = ports.get(a, 0) + 2
        ports[b] = ports.get(b, 0) + 2
    return Need(flows=4 * streams, cryptos=2 * streams, ports=ports)
