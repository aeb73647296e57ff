"""What the media plane has and what of it is given away: slots and ports of every worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from appliance.errors import NoCapacity
from appliance.placement.load import LoadWindow
from appliance.placement.placer import Load, Need, Rules, place
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
    ports: dict[str, PortAllocator] = field(default_factory=dict)  # of this worker's range, whoever serves them now
    calls: int = 0
    available: bool = True  # it runs
    drained: bool = False  # wanted empty
    note: str = ""  # what keeps a drained worker from being empty
    node: int | None = None  # NUMA node of its core
    window: LoadWindow = field(default_factory=LoadWindow)

    def load(self) -> Load:
        return Load(
            worker=self.index,
            available=self.available and not self.drained,
            calls=self.calls,
            busy=self.window.rates.busy,
            rung=self.window.rung,
            node=self.node,
            flows_free=self.flows.free,
            cryptos_free=self.cryptos.free,
            ports_free={name: ports.free for name, ports in self.ports.items()},
        )


class Inventory:
    """All workers and the addresses of all interfaces."""

    def __init__(
        self,
        facts: PlaneFacts,
        port_rest_s: float = 1.0,
        *,
        rules: Callable[[], Rules] = Rules,
        nodes: Mapping[int, int] | None = None,
        hertz: Callable[[int], float | None] = lambda core: None,
    ) -> None:
        """`rules` is asked for each call; `nodes`: NUMA node by core; `hertz`: cycles a second by core."""
        self.rules = rules
        self.placed = 0  # calls, for algorithms that take turns
        self.addresses = {name: interface.address for name, interface in facts.interfaces.items()}
        self._ranges = {name: interface.ports for name, interface in facts.interfaces.items()}
        self.workers = [
            WorkerInventory(
                index=worker.index,
                cpu=worker.cpu,
                node=(nodes or {}).get(worker.cpu),
                window=LoadWindow(hertz(worker.cpu)),
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

    def owner(self, interface: str, port: int) -> int:
        """The worker whose range a port is in, wherever its call lives. NoCapacity: not ours."""
        for worker, ports in enumerate(self._ranges.get(interface, ())):
            if port in ports:
                return worker
        raise NoCapacity(f"port {port} of {interface[:40]!r} is none of ours")

    def ports_of(self, interface: str, port: int) -> PortAllocator:
        """The books a port stands in: its owner's. NoCapacity."""
        return self.workers[self.owner(interface, port)].ports[interface]

    def choose(self, need: Need) -> int:
        """The worker for a new call. NoCapacity."""
        chosen = place([worker.load() for worker in self.workers], need, self.rules(), self.placed)
        self.placed += 1
        return chosen


def need(legs: Iterable[tuple[str, str]]) -> Need:
    """What streams between these pairs of interfaces take: four ports and four flows, two contexts (one secure leg)."""
    ports: dict[str, int] = {}
    streams = 0
    for a, b in legs:
        streams += 1
        ports[a] = ports.get(a, 0) + 2
        ports[b] = ports.get(b, 0) + 2
    return Need(flows=4 * streams, cryptos=2 * streams, ports=ports)
