"""Wishes for next hops follow the flows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from appliance.machine import peers
from appliance.machine.peers import NEW_TICKS, Peers
from kernels.control.commands import InstallFlow, RemoveCrypto, RemoveFlow
from kernels.control.status import FlowStatus


class Wishes(Counter[tuple[str, str]]):
    def want(self, interface: str, destination: str) -> None:
        self[interface, destination] += 1

    def forget(self, interface: str, destination: str) -> None:
        self[interface, destination] -= 1
        assert self[interface, destination] >= 0

    @property
    def now(self) -> dict[tuple[str, str], int]:
        return {key: count for key, count in self.items() if count}


def install(slot: int, host: str = "192.0.2.7", interface: str = "access", **other: Any) -> InstallFlow:
    return InstallFlow(
        slot=slot, interface=interface, port=30000 + slot, rtp=True, rtcp=True,
        remote=(host, 4000) if host else None, rtp_partner=None, rtcp_partner=None, receive=None, send=None,
        secure=False, may_send=True, may_receive=True, latching="host", **other,
    )  # fmt: skip


class Plane:
    def __init__(self) -> None:
        self.learnt: dict[tuple[int, int], str] = {}
        self.asked: list[tuple[int, int]] = []

    def flow(self, worker: int, slot: int) -> FlowStatus:
        self.asked.append((worker, slot))
        if slot == 99:
            raise KeyError(slot)
        host = self.learnt.get((worker, slot), "")
        fields: dict[str, Any] = dict.fromkeys(FlowStatus.__dataclass_fields__, 0)
        fields.update(slot=slot, interface="access", current=(host or "192.0.2.7", 4000), learnt=bool(host))
        return FlowStatus(**fields)


def test_flows_that_come_change_and_go() -> None:
    wishes, plane = Wishes(), Plane()
    subject = Peers(wishes, plane.flow)
    subject.commanded(0, install(1))
    subject.commanded(1, install(1))
    assert wishes.now == {("access", "192.0.2.7"): 2}
    subject.commanded(0, install(1, "198.51.100.1"))
    subject.commanded(0, install(1, "198.51.100.1"))  # idempotent, as commands are
    assert wishes.now == {("access", "192.0.2.7"): 1, ("access", "198.51.100.1"): 1}
    subject.commanded(0, RemoveCrypto(1))
    subject.commanded(0, install(2, ""))
    subject.commanded(0, replace(install(1, "198.51.100.1"), interface="core"))
    assert wishes.now == {("access", "192.0.2.7"): 1, ("core", "198.51.100.1"): 1}
    for slot in (1, 1, 2):
        subject.commanded(0, RemoveFlow(slot))
    subject.commanded(1, RemoveFlow(1))
    assert not wishes.now


def test_learnt_addresses() -> None:
    wishes, plane = Wishes(), Plane()
    subject = Peers(wishes, plane.flow)
    subject.commanded(0, install(1))
    subject.tick()
    assert wishes.now == {("access", "192.0.2.7"): 1}
    plane.learnt[0, 1] = "203.0.113.5"  # the NAT's
    subject.tick()
    assert wishes.now == {("access", "192.0.2.7"): 1, ("access", "203.0.113.5"): 1}
    plane.learnt[0, 1] = "203.0.113.6"
    subject.tick()
    assert wishes.now == {("access", "192.0.2.7"): 1, ("access", "203.0.113.6"): 1}
    del plane.learnt[0, 1]
    subject.tick()
    assert wishes.now == {("access", "192.0.2.7"): 1}
    plane.learnt[0, 1] = "203.0.113.5"
    subject.tick()
    subject.commanded(0, RemoveFlow(1))
    assert not wishes.now


def test_a_flow_that_is_not_there_yet() -> None:
    wishes, plane = Wishes(), Plane()
    subject = Peers(wishes, plane.flow)
    subject.commanded(0, install(99))
    subject.tick()
    assert wishes.now == {("access", "192.0.2.7"): 1}


def test_old_flows_are_looked_at_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "OLD_AT_ONCE", 2)
    wishes, plane = Wishes(), Plane()
    subject = Peers(wishes, plane.flow)
    for slot in range(5):
        subject.commanded(0, install(slot))
    for _ in range(NEW_TICKS):
        plane.asked.clear()
        subject.tick()
        assert sorted(plane.asked) == [(0, slot) for slot in range(5)]  # each once
    plane.asked.clear()
    for _ in range(5):
        subject.tick()
    assert sorted(plane.asked) == sorted([(0, slot) for slot in range(5)] * 2)
    subject.commanded(0, RemoveFlow(3))
    plane.asked.clear()
    for _ in range(4):
        subject.tick()
    assert (0, 3) not in plane.asked
