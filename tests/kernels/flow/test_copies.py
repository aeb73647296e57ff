"""Copies for subscribers (peers 1.1 "subscribe"), over the memory port: what they get, and that the call never feels
them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from kernels.control.commands import Command, ExportStream, ImportStream, InstallCrypto, InstallFlow, RemoveFlow
from kernels.control.mailbox import DROPS
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    LocalPlane,
    LocalTeam,
    balanced,
    bridge,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
)

pytestmark = pytest.mark.malformed
RECORDER = ("203.0.113.5", 7000)


def tap(slot: int, of: int, following: int | None = None, **changes: Any) -> InstallFlow:
    """A subscriber on the socket of its slot's number; `of`: the flow, or the tap, before it in the chain."""
    values: dict[str, Any] = {
        "slot": slot, "interface": "memory", "port": slot, "rtp": True, "rtcp": True, "remote": RECORDER,
        "rtp_partner": of, "rtcp_partner": of, "tap": True, "latching": "off", "rtp_tap": following,
        "rtcp_tap": following,
    }  # fmt: skip
    return InstallFlow(**(values | changes))


def tapped(commands: list[Command], slot: int, first: int) -> list[Command]:
    """The same commands, flow `slot` with a first tap."""
    return [
        dataclasses.replace(command, rtp_tap=first, rtcp_tap=first)
        if isinstance(command, InstallFlow) and command.slot == slot
        else command
        for command in commands
    ]


def drops_of(plane: LocalPlane) -> dict[str, int]:
    counters = plane.counters()
    assert balanced(counters, DROPS)
    return {name: counters[name] for name in DROPS if name in counters}


def test_each_subscriber_gets_every_accepted_packet_under_its_own_keys() -> None:
    """peers 1.1: two recorders of the secure leg, one plain, one with keys of its own; forged packets reach none."""
    plane = LocalPlane()
    extra = [InstallCrypto(2, CM128, master_key(2), True), tap(2, 1, 3), tap(3, 2, send=2, secure=True)]
    assert plane.do(*tapped(secure_bridge(), 1, 2), *extra) == [0] * 7
    phone, recorder = session(master_key(0), True), session(master_key(2), False)
    packets = [rtp(65500 + i, bytes([i]) * 20) for i in range(100)]
    sealed = [phone.protect_rtp(packet) for packet in packets]
    forged = [bytes(data)[:-1] + b"\x00" for data in sealed if isinstance(data, bytes) and data[-1]]
    got = plane.send(1, *forged, *[bytes(data) for data in sealed if isinstance(data, bytes)], source=BOB)
    assert [data for number, data, peer in got if (number, peer) == (0, ALICE)] == packets
    assert [data for number, data, peer in got if (number, peer) == (2, RECORDER)] == packets
    assert [recorder.unprotect_rtp(data) for number, data, _ in got if number == 3] == packets
    report = phone.protect_rtcp(rtcp())
    assert isinstance(report, bytes)
    got = plane.send(1, report, source=BOB)
    assert (0, rtcp(), ALICE) in got
    assert (2, rtcp(), RECORDER) in got
    assert [recorder.unprotect_rtcp(data) for number, data, _ in got if number == 3] == [rtcp()]
    counters = plane.counters()
    assert (counters["copied"], counters["forwarded"]) == (202, 101)
    assert plane.flow(2).packets_out == plane.flow(3).packets_out == 101
    assert set(drops_of(plane)) == {"auth_fail"}


def test_copies_leave_the_call_octet_for_octet_as_it_was() -> None:
    """A24: rewriting towards the partner does not show in the copy, and a copy's rewriting not in the call."""
    plane = LocalPlane()
    a, b = bridge()
    b = dataclasses.replace(b, payload_types=((0, 8),))
    plane.do(*tapped([a, b], 0, 2), tap(2, 0, payload_types=((0, 111),)))
    got = plane.send(0, *[rtp(i) for i in range(200)])
    assert [data for number, data, _ in got if number == 1] == [rtp(i, kind=8) for i in range(200)]
    assert [data for number, data, _ in got if number == 2] == [rtp(i, kind=111) for i in range(200)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"remote": None}, "no_partner"),
        ({"secure": True}, "not_keyed"),
        ({"secure": True, "send": 9}, "not_keyed"),
        ({"may_receive": False}, "direction"),
    ],
)
def test_a_subscriber_that_cannot_be_served_costs_the_call_nothing(change: dict[str, Any], name: str) -> None:
    """Its copies are counted on its own flow; the call's packets all arrive; the next subscriber gets its own."""
    plane = LocalPlane()
    plane.do(*tapped([*bridge()], 0, 2), tap(2, 0, 3, **change), tap(3, 2))
    got = plane.send(0, *[rtp(i) for i in range(150)])
    assert [data for number, data, _ in got if number == 1] == [rtp(i) for i in range(150)]
    assert [data for number, data, _ in got if number == 3] == [rtp(i) for i in range(150)]
    assert plane.flow(2).drops == {name: 150}
    assert plane.counters()["copy_dropped"] == 150
    assert drops_of(plane) == {}


def test_what_a_subscriber_sends_is_dropped_and_counted() -> None:
    plane = LocalPlane()
    plane.do(*tapped([*bridge()], 0, 2), tap(2, 0))
    assert plane.send(2, rtp(1), rtcp(), source=RECORDER) == []
    assert plane.flow(2).drops == {"subscriber": 2}
    assert plane.flow(2).packets_in == 2
    assert drops_of(plane) == {"subscriber": 2}


def test_a_blocked_or_held_leg_is_not_copied() -> None:
    """What goes no further goes to nobody; RTCP of a held stream passes, to subscribers too."""
    plane = LocalPlane()
    a, b = bridge()
    for change, copies in (({"blocked": True}, []), ({"may_send": False}, [rtcp()])):
        plane.do(*tapped([dataclasses.replace(a, **change), b], 0, 2), tap(2, 0))
        got = plane.send(0, rtp(1), rtcp())
        assert [data for number, data, _ in got if number == 2] == copies


def test_the_next_user_of_a_slot_gets_nothing() -> None:
    """A9, B12: a tap's slot that is given to another flow, or to a tap of another flow, is no tap of the first."""
    plane = LocalPlane()
    plane.do(*tapped([*bridge()], 0, 2), tap(2, 0), RemoveFlow(2))
    assert [number for number, _, _ in plane.send(0, rtp(1))] == [1]
    plane.do(dataclasses.replace(tap(2, 5), rtp_partner=5, rtcp_partner=5))
    assert [number for number, _, _ in plane.send(0, rtp(2))] == [1]
    plane.do(InstallFlow(2, "memory", 2, True, True, RECORDER, 0, 0, latching="off"))
    assert [number for number, _, _ in plane.send(0, rtp(3))] == [1]
    assert plane.flow(2).packets_out == 0


def test_a_chain_is_walked_at_most_eight_times() -> None:
    """A circle of taps, which no control process makes, ends."""
    plane = LocalPlane()
    plane.do(*tapped([*bridge()], 0, 2), tap(2, 0, 3), tap(3, 2, 2))
    assert [number for number, _, _ in plane.send(0, rtp(1))].count(2) == 1
    slots = list(range(2, 12))
    chain = [tap(slot, slot - 1 if slot > 2 else 0, slot + 1 if slot < 11 else None) for slot in slots]
    plane.do(*chain)
    got = [number for number, _, _ in plane.send(0, *[rtp(i) for i in range(64)])]
    assert {number: got.count(number) for number in slots} == {n: 64 if n < 10 else 0 for n in slots}


def test_taps_outlive_the_worker() -> None:
    """F2: the next worker goes on copying, and continues the subscriber's index."""
    plane = LocalPlane()
    crypto = InstallCrypto(2, CM128, master_key(2), True)
    plane.do(*tapped([*bridge()], 0, 2), crypto, tap(2, 0, send=2, secure=True))
    recorder = session(master_key(2), False)
    for block in range(2):
        packets = [rtp(65530 + 10 * block + i) for i in range(10)]
        got = plane.send(0, *packets)
        assert [recorder.unprotect_rtp(data) for number, data, _ in got if number == 2] == packets
        plane.start()
    assert plane.mailbox.crypto(2).streams[0].roc == 1


def test_a_moved_call_is_copied_again_once_it_is_told() -> None:
    """A tap moves as a stream of its own, with its index; the chain is commanded again afterwards."""
    team = LocalTeam()
    commands = tapped([*bridge()], 0, 2)
    crypto = InstallCrypto(2, CM128, master_key(2), True)
    recorder = session(master_key(2), False)
    assert team.do(0, *commands, crypto, tap(2, 0, send=2, secure=True)) == [0] * 4

    def heard(worker: int, first: int) -> list[bytes]:
        packets = [rtp(first + i) for i in range(10)]
        for packet in packets:
            team.ports[worker].inject(0, packet, *ALICE)
        team.turn()
        copies = [data for number, data, _ in team.ports[worker].collect() if number == 2]
        assert not copies or [recorder.unprotect_rtp(data) for data in copies] == packets
        return copies

    assert len(heard(0, 65530)) == 10
    move_all(team)
    assert team.do(1, *(dataclasses.replace(c, slot=c.slot, rtp_tap=4 if c.slot == 0 else None) for c in bridge())) == [
        0, 0,
    ]  # fmt: skip
    assert team.do(1, tap(4, 0, port=2, send=4, secure=True)) == [0]
    assert len(heard(1, 65540)) == 10
    assert team.mailboxes[1].crypto(4).streams[0].roc == 1


def move_all(team: LocalTeam) -> None:
    """The call's stream, then the tap's, from worker 0 to worker 1."""
    none = (None, None, None, None)
    assert team.do(0, ExportStream(0, 7, 1, (0, 1, None, None), none)) == [0]
    assert team.do(1, ImportStream(0, 7, (0, 1, None, None), none)) == [0]
    assert team.do(0, ExportStream(1, 8, 1, (2, None, None, None), (2, None, None, None))) == [0]
    assert team.do(1, ImportStream(1, 8, (4, None, None, None), (4, None, None, None))) == [0]
