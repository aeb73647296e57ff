"""Budgets of what goes up: nobody takes the ring from others (A3, A12)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kernels.control.commands import Address, InstallFlow, Punt
from tests.kernels.rig import ALICE, BOB, MALLORY, LocalPlane, rtp

HELLO = bytes([22]) + bytes(60)
RING = 256


def handshaking(flows: int = 8) -> LocalPlane:
    """Flows that wait for handshakes, each from Alice, and send to each other."""
    plane = LocalPlane()
    plane.do(
        *(
            InstallFlow(slot, "memory", slot, True, True, ALICE, slot ^ 1, slot ^ 1, latching="off", dtls=True)
            for slot in range(flows)
        )
    )
    return plane


def taken(plane: LocalPlane) -> list[Punt]:
    found: list[Any] = []
    plane.mailbox.take(found)
    return [punt for punt in found if isinstance(punt, Punt)]


@pytest.mark.row("A3")
def test_a_flood_takes_a_quarter_of_the_strangers_share_of_one_flow() -> None:
    """5,000 datagrams at once from one address: a burst of sixteen goes up, whatever port Alice uses meanwhile."""
    plane = handshaking()
    plane.send(0, *[HELLO] * 5000, source=MALLORY)
    flooded = taken(plane)
    assert 16 <= len(flooded) <= 16 + 50  # what came back of the budget while the flood was sent
    assert {punt.source for punt in flooded} == {MALLORY}
    plane.send(0, *[HELLO] * 40, source=ALICE)
    assert [punt.source for punt in taken(plane)] == [ALICE] * 40
    counters = plane.counters()
    assert counters["punt_rate"] == 5000 - len(flooded)
    assert plane.flow(0).drops["punt_rate"] == counters["punt_rate"]


@pytest.mark.row("A3")
def test_strangers_leave_half_of_the_ring() -> None:
    """Nobody reads: floods at every port from many sources fill half of the ring; the known still get through."""
    plane = handshaking()
    for slot in range(8):
        for host in range(40):
            plane.send(slot, HELLO, HELLO, source=(f"203.0.113.{host + 1}", 7000))
    assert plane.counters()["punted"] == RING // 2
    assert plane.counters()["punt_full"] > 0
    for slot in range(8):
        plane.send(slot, *[HELLO] * 16, source=ALICE)
    assert [punt.source for punt in taken(plane)][RING // 2 :] == [ALICE] * (RING // 2)
    assert plane.send(0, rtp(1), source=ALICE) == [(1, rtp(1), ALICE)]


@pytest.mark.row("A3")
def test_the_known_source_has_a_budget_too() -> None:
    """Its address may be forged: a flood in its name does not fill the ring either."""
    plane = handshaking()
    plane.send(0, *[HELLO] * 5000, source=ALICE)
    assert len(taken(plane)) < RING // 2
    plane.send(2, HELLO, source=ALICE)
    assert [punt.flow for punt in taken(plane)] == [2]


@pytest.mark.row("A3")
def test_the_callers_host_with_another_port_is_a_stranger() -> None:
    """A3 (c): who spoofs the caller's IP with another port spends the strangers' budget, not the caller's."""
    plane = handshaking()
    plane.send(0, *[HELLO] * 5000, source=(ALICE[0], 9))
    taken(plane)
    plane.send(0, *[HELLO] * 40, source=ALICE)
    assert len(taken(plane)) == 40


@pytest.mark.row("A3")
def test_no_stranger_shares_with_a_flood_for_long() -> None:
    """Sixteen peers whose addresses nobody signalled repeat themselves under a flood from one address: each of them is
    heard, though a quarter of them had the flood's budget at first."""
    plane = handshaking()
    peers = {(f"198.51.100.{number}", 5000) for number in range(1, 17)}
    heard: list[set[Address]] = []
    until = time.monotonic() + 3
    while time.monotonic() < until and (not heard or set.union(*heard) != peers):
        plane.send(0, *[HELLO] * 200, source=MALLORY)
        taken(plane)
        for peer in peers:
            plane.send(0, HELLO, source=peer)
        heard.append({punt.source for punt in taken(plane)})
        time.sleep(0.05)
    assert heard[0] != peers, "nobody shared with the flood"
    assert set.union(*heard) == peers


def test_a_new_call_on_the_slot_begins_with_full_budgets() -> None:
    plane = handshaking(2)
    plane.send(0, *[HELLO] * 5000, source=MALLORY)
    taken(plane)
    plane.do(InstallFlow(0, "memory", 5, True, True, BOB, dtls=True))
    plane.send(5, *[HELLO] * 16, source=MALLORY)
    assert len(taken(plane)) == 16


def test_a_full_ring() -> None:
    """Handshakes of many calls that nobody reads are dropped under their name; media passes."""
    plane = handshaking()
    for slot in range(8):
        plane.send(slot, *[HELLO] * 40, source=ALICE)
    assert plane.counters()["punt_full"] == 8 * 40 - RING
    assert plane.send(0, rtp(1), source=ALICE) == [(1, rtp(1), ALICE)]
