"""HardwareService: this machine, and one made up with everything in it."""

from __future__ import annotations

import os

import grpc

from appliance.api import show_hardware
from appliance.machine.hardware import HardwareView
from firmware_iface import simulated
from firmware_iface.accelerators import Accelerator
from firmware_iface.events import Event, Kind
from firmware_iface.nexthop import NextHop, State
from srtpgw.v1 import hardware_pb2, hardware_pb2_grpc


async def test_this_machine(channel: grpc.aio.Channel) -> None:
    stub = hardware_pb2_grpc.HardwareServiceStub(channel)
    found = await stub.GetHardware(hardware_pb2.GetHardwareRequest(next_hops=True))
    assert {core.index for core in found.cores} == os.sched_getaffinity(0)
    assert "lo" in [nic.name for nic in found.nics]
    assert found.limits.kernel == os.uname().release and found.memory.total_kib > 0


def test_everything() -> None:
    machine = simulated.machine(
        {
            "machine": {"cores_per_socket": 2, "isolated": "1", "tickless": "1", "huge_1g": 2},
            "nic": [
                {"name": "enp1s0", "driver": "i40e", "queues": 4, "queues_max": 8, "interrupts": 70},
                {"name": "enp1s0.7", "vlan": 7, "parent": "enp1s0"},
            ],
        }
    )
    accelerator = Accelerator("0000:3d:00.0", "Intel QuickAssist C62x", "c6xx", 0)
    view = HardwareView(
        machine=machine.__class__(machine.cpu, machine.nics, machine.memory, machine.isolation, machine.privileges,
                                  (accelerator,)),
        workers={1: 0},
        interfaces={"access": "enp1s0.7"},
        next_hops=(NextHop("access", "192.0.2.7", 2, "02:00:00:00:00:01", "02:00:00:00:00:99", 7, 1496, "192.0.2.1",
                           State.REACHABLE),),
        events=(Event(Kind.XDP_REPLACED, "enp1s0", "replaced", 1.5e9),),
        advice=("look here",),
    )  # fmt: skip
    found = show_hardware.hardware(view, next_hops=True)
    assert [(core.isolated, core.HasField("worker")) for core in found.cores] == [(False, False), (True, True)]
    wire, vlan = found.nics
    assert (wire.queues, wire.queues_max, wire.steering.ntuple, wire.xdp.zero_copy) == (4, 8, True, True)
    assert [(one.number, one.queue) for one in wire.interrupts] == [(70, 0), (71, 1), (72, 2), (73, 3)]
    assert (vlan.vlan, vlan.parent, list(vlan.interfaces)) == (7, "enp1s0", ["access"])
    assert found.accelerators[0].name == accelerator.name and list(found.advice) == ["look here"]
    assert (found.events[0].kind, found.events[0].time.seconds) == ("xdp-replaced", 1_500_000_000)
    (row,) = found.next_hops
    assert (row.state, row.vlan, row.device, row.gateway) == ("reachable", 7, 2, "192.0.2.1")
    assert not show_hardware.hardware(view, next_hops=False).next_hops
