"""Inventory, events and next hops joined, on this machine's loopback."""

from __future__ import annotations

import pytest

from appliance.machine.hardware import Hardware
from firmware_iface.cpu import Cpu
from firmware_iface.ethtool import Driver
from firmware_iface.inventory import Machine
from firmware_iface.links import Link
from firmware_iface.nexthop import Change, State
from firmware_iface.nic import Nic
from kernels.control.commands import RemoveFlow
from tests.appliance.machine.test_peers import Plane, install
from tests.firmware_iface.wires import until


async def test_view() -> None:
    hardware = Hardware({"default": "127.0.0.1", "nowhere": "192.0.2.99"}, lambda: (1, 0))
    await hardware.start()
    view = await hardware.view()
    hardware.stop()
    assert view.interfaces == {"default": "lo"} and view.workers == {1: 0, 0: 1}
    assert view.machine.nic("lo") is not None and not view.next_hops
    assert any("not isolated" in line for line in view.advice) or view.machine.isolation.isolated


def test_nodes_are_those_of_nics_on_a_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """The placer keeps calls beside the NIC they come in by; loopback and strangers have no place."""
    machine = Machine(Cpu("", (), ()), (nic("far", 1, "0000:81:00.0"), nic("lo", 0, "")))
    owners = {"192.0.2.1": "far", "127.0.0.1": "lo"}
    monkeypatch.setattr("appliance.machine.hardware._read", lambda: (machine, owners))
    hardware = Hardware({"core": "192.0.2.1", "loop": "127.0.0.1", "gone": "192.0.2.99"})
    assert hardware.nodes() == {"core": 1, "loop": None, "gone": None}


def nic(name: str, node: int, bus: str) -> Nic:
    return Nic(Link(index=1, name=name), Driver(name, bus), node)


async def test_next_hops_reach_who_sends_frames() -> None:
    changes: list[Change] = []
    hardware = Hardware({"default": "127.0.0.1"}, on_next_hops=changes.append)
    assert hardware.next_hops is not None
    await hardware.start()
    hardware.next_hops.want("default", "127.0.0.9")
    await until(lambda: any(row.state is State.LOCAL for change in changes for row in change.rows), lambda: changes)
    assert [row.state for row in (await hardware.view()).next_hops] == [State.LOCAL]
    hardware.stop()


async def test_next_hops_follow_the_commands() -> None:
    plane, changes = Plane(), []
    hardware = Hardware({"access": "127.0.0.1"}, flow=plane.flow, on_next_hops=changes.append)
    hardware.commanded(0, install(1, "127.0.0.9"))  # before it is started, as calls are adopted
    await hardware.start()
    plane.learnt[0, 1] = "127.0.0.10"
    hardware.tick()

    def known() -> set[str]:
        return {row.destination for row in hardware.next_hops.rows() if row.state is State.LOCAL}  # type: ignore[union-attr]

    await until(lambda: known() == {"127.0.0.9", "127.0.0.10"}, lambda: changes)
    hardware.commanded(0, RemoveFlow(1))
    await until(lambda: {want.destination for change in changes for want in change.gone} == {"127.0.0.9", "127.0.0.10"},
                lambda: changes)  # fmt: skip
    hardware.stop()


async def test_without_a_consumer_nothing_is_followed() -> None:
    hardware = Hardware({"access": "127.0.0.1"}, flow=Plane().flow)
    hardware.commanded(0, install(1))
    hardware.tick()
    assert hardware.next_hops is None


async def test_a_kernel_that_refuses_does_not_end_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("firmware_iface.watch.Monitor", refuse)
    monkeypatch.setattr("appliance.machine.hardware.addresses.read", refuse)
    hardware = Hardware({"default": "127.0.0.1"})
    await hardware.start()
    view = await hardware.view()
    assert view.machine.cpu.cores and not view.interfaces
    hardware.stop()
