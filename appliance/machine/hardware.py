"""Inventory, hardware events and next hops in the control process: firmware_iface joined with interfaces, workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from appliance.machine.peers import Peers
from firmware_iface import addresses, advice, inventory
from firmware_iface.advice import Use
from firmware_iface.events import Event
from firmware_iface.inventory import Machine
from firmware_iface.nexthop import Change, NextHop
from firmware_iface.nexthops import NextHops
from firmware_iface.watch import Watch
from kernels.control.commands import Command
from kernels.control.status import FlowStatus

log = structlog.get_logger("srtpgw.hardware")


@dataclass(frozen=True, slots=True)
class HardwareView:
    """What GetHardware tells."""

    machine: Machine
    workers: Mapping[int, int] = field(default_factory=dict)  # core -> worker
    interfaces: Mapping[str, str] = field(default_factory=dict)  # of the settings -> the NIC that has its address
    next_hops: tuple[NextHop, ...] = ()
    events: tuple[Event, ...] = ()
    advice: tuple[str, ...] = ()


class Hardware:
    """`start` in the loop, `stop`. Without `start` it only answers `view`."""

    def __init__(
        self,
        interfaces: Mapping[str, str] | None = None,
        cores: Callable[[], tuple[int, ...]] = tuple,
        flow: Callable[[int, int], FlowStatus] | None = None,
        on_next_hops: Callable[[Change], None] | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """`interfaces`: names of the settings -> local addresses; `cores`: those of the workers; `flow`: the plane's;
        `on_next_hops`: who sends frames of its own and needs to know where to. None: neighbours are left alone."""
        self._interfaces = dict(interfaces or {})
        self._cores = cores
        self._on_event = on_event
        self._watch = Watch(self._tell)
        self.next_hops = NextHops(self._interfaces, on_next_hops) if on_next_hops else None
        self._peers = Peers(self.next_hops, flow) if self.next_hops is not None and flow is not None else None

    async def start(self) -> None:
        """Never fails: what cannot be watched is logged, the gateway goes on."""
        try:
            self._watch.start()
            if self._watch.why:
                log.warning("hardware is watched in part", why=self._watch.why)
            if self.next_hops is not None:
                await self.next_hops.start()
        except OSError as error:
            log.error("hardware is not watched", why=error.strerror)

    def stop(self) -> None:
        self._watch.stop()
        if self.next_hops is not None:
            self.next_hops.stop()

    def commanded(self, worker: int, command: Command) -> None:
        """A command went down to a worker: peers come and go with it."""
        if self._peers is not None:
            self._peers.commanded(worker, command)

    def tick(self) -> None:
        """Now and then: workers may have learnt other addresses than were signalled."""
        if self._peers is not None:
            self._peers.tick()

    def nodes(self) -> dict[str, int | None]:
        """NUMA node of the NIC that carries each interface of the settings; None: on no bus, or not ours."""
        machine, owners = _read()
        below = {name: machine.below(owners.get(address, "")) for name, address in self._interfaces.items()}
        return {name: nic.node if nic is not None and nic.driver.bus else None for name, nic in below.items()}

    async def view(self) -> HardwareView:
        """The machine as it is now. Some milliseconds of system calls, off the loop."""
        machine, owners = await asyncio.to_thread(_read)
        cores = self._cores()
        nics = {name: owners[address] for name, address in self._interfaces.items() if address in owners}
        use = Use(tuple(dict.fromkeys(nics.values())), cores)
        lines = advice.lines(machine, use)
        if self.next_hops is not None and self.next_hops.probing:
            lines = (f"next hops: {self.next_hops.probing}", *lines)
        return HardwareView(
            machine=machine,
            workers={core: worker for worker, core in enumerate(cores)},
            interfaces=nics,
            next_hops=self.next_hops.rows() if self.next_hops is not None else (),
            events=tuple(self._watch.recent),
            advice=lines,
        )

    def _tell(self, event: Event) -> None:
        log.info("hardware", kind=str(event.kind), device=event.device, what=event.text)
        self._on_event(event)


def _read() -> tuple[Machine, dict[str, str]]:
    try:
        return inventory.read(), addresses.read()
    except OSError:
        return inventory.read(), {}
