"""The values of firmware_iface as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srtpgw.v1 import hardware_pb2

if TYPE_CHECKING:
    from appliance.machine.hardware import HardwareView
    from firmware_iface.cpu import Core
    from firmware_iface.events import Event
    from firmware_iface.interrupts import Interrupt
    from firmware_iface.inventory import Machine
    from firmware_iface.nexthop import NextHop
    from firmware_iface.nic import Nic


def hardware(view: HardwareView, next_hops: bool) -> hardware_pb2.Hardware:
    machine = view.machine
    return hardware_pb2.Hardware(
        processor=machine.cpu.model,
        processor_features=machine.cpu.features,
        cores=[_core(view, core) for core in machine.cpu.cores],
        nics=[_nic(view, nic) for nic in machine.nics],
        memory=_memory(machine),
        limits=_limits(machine),
        accelerators=[
            hardware_pb2.Accelerator(bus=found.bus, name=found.name, driver=found.driver, node=found.node)
            for found in machine.accelerators
        ],
        advice=view.advice,
        events=[_event(event) for event in view.events],
        next_hops=[_next_hop(row) for row in view.next_hops] if next_hops else (),
    )


def _core(view: HardwareView, core: Core) -> hardware_pb2.Core:
    return hardware_pb2.Core(
        index=core.index,
        node=core.node,
        siblings=core.siblings,
        isolated=core.isolated,
        tickless=core.index in view.machine.isolation.tickless,
        governor=view.machine.isolation.governor(core.index),
        worker=view.workers.get(core.index),
    )


def _nic(view: HardwareView, nic: Nic) -> hardware_pb2.Nic:
    link = nic.link
    below = view.machine.below(nic.name)
    return hardware_pb2.Nic(
        name=link.name,
        index=link.index,
        driver=nic.driver.name,
        bus=nic.driver.bus,
        node=nic.node,
        mac=link.mac,
        mtu=link.mtu,
        up=link.up,
        carrier=link.carrier,
        speed_mbps=nic.speed_mbps,
        queues=nic.queues,
        queues_max=max(nic.queues, nic.channels.combined_max, nic.channels.rx_max),
        rx_ring=nic.rings.rx,
        tx_ring=nic.rings.tx,
        rss_queues=nic.rss.queues,
        xdp=_ability(nic),
        steering=_steering(nic),
        interrupts=[_interrupt(found) for found in nic.interrupts],
        vlan=link.vlan or 0,
        parent=below.name if link.vlan is not None and below is not None else "",
        unsuitable=nic.unsuitable,
        offloads=nic.offloads,
        interfaces=[name for name, owner in view.interfaces.items() if owner == link.name],
    )


def _ability(nic: Nic) -> hardware_pb2.XdpAbility:
    return hardware_pb2.XdpAbility(
        native=nic.xdp.native,
        zero_copy=nic.xdp.zero_copy,
        segments=nic.xdp.segments,
        known_by_kernel=nic.xdp.known_by == "kernel",
        attached=nic.link.xdp,
        program=nic.link.xdp_program,
    )


def _steering(nic: Nic) -> hardware_pb2.Steering:
    found = nic.steering
    return hardware_pb2.Steering(
        ntuple=found.ntuple, active=found.active, rules=found.rules, room=found.room, why_not=found.why
    )


def _interrupt(found: Interrupt) -> hardware_pb2.Interrupt:
    return hardware_pb2.Interrupt(
        number=found.number, name=found.name, queue=found.queue, cores=found.cores, count=found.count
    )


def _memory(machine: Machine) -> hardware_pb2.HardwareMemory:
    memory = machine.memory
    return hardware_pb2.HardwareMemory(
        total_kib=memory.total_kib,
        available_kib=memory.available_kib,
        huge_pages=[
            hardware_pb2.HugePages(node=pool.node, size_kib=pool.size_kib, total=pool.total, free=pool.free)
            for pool in memory.huge_pages
        ],
        transparent_huge_pages=memory.transparent,
    )


def _limits(machine: Machine) -> hardware_pb2.HardwareLimits:
    have = machine.privileges
    return hardware_pb2.HardwareLimits(
        kernel=have.kernel,
        btf=have.btf,
        bpf_jit=have.jit,
        unprivileged_bpf=have.unprivileged_bpf,
        capabilities=have.capabilities,
        lock_limit_octets=machine.memory.lock_limit_octets,
        smt=machine.isolation.smt,
        clocksource=machine.isolation.clocksource,
        irqbalance=machine.isolation.irqbalance,
    )


def _event(event: Event) -> hardware_pb2.HardwareEvent:
    message = hardware_pb2.HardwareEvent(kind=event.kind, device=event.device, text=event.text)
    message.time.FromMicroseconds(int(event.at * 1e6))
    return message


def _next_hop(row: NextHop) -> hardware_pb2.NextHop:
    return hardware_pb2.NextHop(
        interface=row.interface,
        destination=row.destination,
        device=row.device,
        source_mac=row.source_mac,
        destination_mac=row.destination_mac,
        vlan=row.vlan or 0,
        mtu=row.mtu,
        gateway=row.gateway,
        state=row.state,
        why=row.why,
    )
