"""Whose packets are accepted and when an address is learnt (security-and-faults A1, A2, F26)."""

from __future__ import annotations

import dataclasses
import time

import pytest

from kernels.control.commands import InstallFlow
from kernels.srtp.session import Session
from tests.kernels.rig import (
    ALICE,
    BOB,
    MALLORY,
    NULL_AUTH,
    LocalPlane,
    bridge,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
)

pytestmark = pytest.mark.malformed

NAT = (ALICE[0], 33333)  # signalled host, another port


def plain(latching: str, learning_ms: int = 3000) -> LocalPlane:
    plane = LocalPlane(learning_ms=learning_ms)
    plane.do(*bridge(latching=latching))
    return plane


def passes(plane: LocalPlane, source: tuple[str, int], number: int = 0) -> bool:
    return len(plane.send(number, rtp(1), source=source)) == 1


def sends_to(plane: LocalPlane) -> tuple[str, int]:
    """Where media for Alice goes."""
    ((_, _, to),) = plane.send(1, rtp(1), source=BOB)
    return to


def test_off_accepts_only_the_signalled_address() -> None:
    plane = plain("off")
    assert [passes(plane, source) for source in (NAT, MALLORY, ALICE, NAT)] == [False, False, True, False]
    assert sends_to(plane) == ALICE


def test_host_learns_a_port_once() -> None:
    """A1: behind NAT the port differs; after it is learnt another port is a stranger, and so is another host."""
    plane = plain("host", learning_ms=0)
    sources = [MALLORY, NAT, NAT, (ALICE[0], 44444), MALLORY]
    assert [passes(plane, source) for source in sources] == [False, True, True, False, False]
    assert sends_to(plane) == NAT
    assert plane.flow(0).learnt
    assert plane.counters()["learnt"] == 1


@pytest.mark.parametrize(("latching", "early"), [("host", NAT), ("once", MALLORY)])
def test_signalled_address_wins_within_the_window(latching: str, early: tuple[str, int]) -> None:
    """A2: whoever came first, however loud, the signalled address takes over and nobody takes it back."""
    plane = plain(latching)
    for _ in range(10):
        assert passes(plane, early)
    assert sends_to(plane) == early
    assert passes(plane, ALICE)
    assert sends_to(plane) == ALICE
    assert not any(passes(plane, early) for _ in range(10))
    assert not plane.flow(0).learnt


def test_once_is_strict_after_the_window() -> None:
    """A1: the first source is kept; after the window not even the signalled address replaces it."""
    plane = plain("once", learning_ms=30)
    assert passes(plane, MALLORY)
    assert not passes(plane, NAT)
    time.sleep(0.05)
    assert [passes(plane, source) for source in (ALICE, MALLORY, ALICE)] == [False, True, False]
    assert sends_to(plane) == MALLORY


def test_signalled_address_first_is_fixed_at_once() -> None:
    """A1: 0 packets to the attacker after the signalled source was heard."""
    plane = plain("once")
    assert passes(plane, ALICE)
    assert not passes(plane, MALLORY)
    assert sends_to(plane) == ALICE


def test_two_strangers_in_one_batch_only_one_is_learnt() -> None:
    plane = plain("once")
    plane.port.inject(0, rtp(1), *MALLORY)
    plane.port.inject(0, rtp(2), *NAT)
    plane.worker.turn()
    assert [data for _, data, _ in plane.port.collect()] == [rtp(1)]
    assert plane.counters()["source"] == 1


def test_malformed_packets_teach_nothing() -> None:
    plane = plain("once")
    plane.send(0, rtp(1)[:11], b"\x9f" + rtp(1)[1:20], bytes(30), b"\x16" * 30, source=MALLORY)
    assert plane.flow(0).current == ALICE


def test_new_remote_starts_learning_again_and_same_remote_does_not() -> None:
    """A learnt address holds until a command names another remote."""
    plane = plain("host", learning_ms=0)
    passes(plane, NAT)
    passes(plane, NAT)
    a = bridge(latching="host")[0]
    plane.do(dataclasses.replace(a, may_receive=True))
    assert sends_to(plane) == NAT
    moved = (ALICE[0], 4444)
    plane.do(dataclasses.replace(a, remote=moved))
    assert sends_to(plane) == moved
    assert passes(plane, NAT)


def test_authenticated_follows_the_tag_and_nothing_else() -> None:
    """F26: the address moves with the first authenticated packet; forged packets and replays move nothing."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    first = phone.protect_rtp(rtp(1))
    cut = phone.protect_rtp(rtp(8))
    assert isinstance(cut, bytes)
    assert plane.send(1, first, source=BOB)
    assert plane.send(1, first, rtp(7), cut[:-1], source=MALLORY) == []
    assert plane.flow(1).current == BOB
    elsewhere = ("198.51.100.99", 1)
    for place in (elsewhere, BOB, elsewhere):
        number = plane.flow(1).packets_in + 10
        assert plane.send(1, phone.protect_rtp(rtp(number)), source=place)
        assert plane.flow(1).current == place
        ((_, _, to),) = plane.send(0, rtp(number))
        assert to == place
    assert plane.flow(1).remote == BOB
    assert plane.flow(1).learnt


def test_authenticated_learns_from_srtcp_too() -> None:
    plane = LocalPlane()
    plane.do(*secure_bridge())
    assert plane.send(1, session(master_key(0), True).protect_rtcp(rtcp()), source=MALLORY)
    assert plane.flow(1).current == MALLORY


def test_a_suite_without_tag_proves_nothing() -> None:
    """NULL_AUTH: whatever arrives passes the cipher; an attacker must not move the address with it."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge(NULL_AUTH)) == [0, 0, 0, 0]
    plane.send(1, rtp(1), source=MALLORY)
    assert plane.flow(1).current == BOB


def test_without_a_tag_only_the_known_source_speaks() -> None:
    """A1: NULL_AUTH lets every octet through the cipher, so the address has to decide, as on a plain leg; SRTCP still
    has its tag and may move the address."""
    plane = LocalPlane()
    plane.do(*secure_bridge(NULL_AUTH))
    assert plane.send(1, rtp(1), source=MALLORY) == []
    assert plane.counters()["source"] == 1
    assert len(plane.send(1, rtp(1), source=BOB)) == 1
    moved = Session(NULL_AUTH, master_key(0).key, master_key(0).salt, send=True).protect_rtcp(rtcp())
    assert len(plane.send(1, moved, source=MALLORY)) == 1
    assert [len(plane.send(1, rtp(2), source=source)) for source in (BOB, MALLORY)] == [0, 1]


def test_authenticated_on_a_plain_leg_is_strict() -> None:
    plane = plain("authenticated")
    assert [passes(plane, source) for source in (NAT, MALLORY, ALICE)] == [False, False, True]


def test_no_remote_yet() -> None:
    """`once` may learn before the answer named an address; `host` and `off` have nothing to compare with."""
    for latching, expected in (("once", True), ("host", False), ("off", False)):
        plane = LocalPlane()
        a, b = bridge(latching=latching)
        plane.do(dataclasses.replace(a, remote=None), dataclasses.replace(b, latching="off"))
        assert passes(plane, ALICE) is expected


def test_ipv6_addresses_are_compared_whole() -> None:
    plane = LocalPlane()
    here, near = ("2001:db8::1", 4000), ("2001:db8::1:1", 4000)
    a = dataclasses.replace(bridge(latching="host")[0], remote=here)
    plane.do(a, InstallFlow(1, "memory", 1, True, True, BOB, 0))
    assert [passes(plane, source) for source in (near, here)] == [False, True]
