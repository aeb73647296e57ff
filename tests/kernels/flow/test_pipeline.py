"""The packet path over the memory port: what arrives, what leaves, and under which name the rest is dropped."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import pytest

from kernels.control.commands import InstallCrypto, InstallFlow, Punt, RemoveCrypto, RemoveFlow
from kernels.control.mailbox import DROPS
from tests.kernels.rig import (
    ALICE,
    BOB,
    CM128,
    MALLORY,
    LocalPlane,
    balanced,
    bridge,
    master_key,
    rtcp,
    rtp,
    secure_bridge,
    session,
)

pytestmark = pytest.mark.malformed


def changed(command: InstallFlow, **changes: Any) -> InstallFlow:
    return dataclasses.replace(command, **changes)


def drops_of(plane: LocalPlane) -> dict[str, int]:
    counters = plane.counters()
    assert balanced(counters, DROPS)
    return {name: counters[name] for name in DROPS if name in counters}


def test_plain_bridge_is_byte_exact_both_ways() -> None:
    """A24: RTP and RTCP leave as they came, from the partner's socket to the partner's address."""
    plane = LocalPlane()
    assert plane.do(*bridge()) == [0, 0]
    forth = [rtp(i, os.urandom(i % 200)) for i in range(300)] + [rtcp()]
    assert plane.send(0, *forth) == [(1, data, BOB) for data in forth]
    assert plane.send(1, *forth, source=BOB) == [(0, data, ALICE) for data in forth]
    assert drops_of(plane) == {}
    assert plane.port.held == 0
    status = plane.flow(0)
    assert (status.packets_in, status.packets_out, status.ssrc_in, status.lost) == (301, 301, 0x11223344, 0)
    assert status.octets_in == sum(map(len, forth)) == status.octets_out


def test_secure_bridge_opens_and_seals() -> None:
    """A01, A18, A24: the plain side sees the sender's packets bit for bit, the secure side what its keys open."""
    plane = LocalPlane()
    assert plane.do(*secure_bridge()) == [0, 0, 0, 0]
    phone_out, phone_in = session(master_key(0), True), session(master_key(1), False)
    packets = [rtp(65530 + i, os.urandom(160)) for i in range(12)]
    sealed = plane.send(0, *packets)
    assert [phone_in.unprotect_rtp(data) for _, data, _ in sealed] == packets
    assert all(len(data) == len(packets[0]) + 10 for _, data, _ in sealed)
    opened = plane.send(1, *[phone_out.protect_rtp(packet) for packet in packets], source=BOB)
    assert opened == [(0, packet, ALICE) for packet in packets]
    ((_, report, _),) = plane.send(0, rtcp())
    assert phone_in.unprotect_rtcp(report) == rtcp()
    assert plane.send(1, phone_out.protect_rtcp(rtcp()), source=BOB) == [(0, rtcp(), ALICE)]
    assert plane.mailbox.crypto(0).streams[0].roc == 1
    assert drops_of(plane) == {}


def test_mux_on_one_side_and_separate_ports_on_the_other() -> None:
    """RFC 5761: Alice muxes; Bob has RTP on socket 1 and RTCP on socket 2."""
    plane = LocalPlane()
    a, b = bridge()
    bob_rtcp = (BOB[0], BOB[1] + 1)
    commands = [
        changed(a, rtcp_partner=2),
        changed(b, rtcp=False, rtcp_partner=None),
        InstallFlow(2, "memory", 2, False, True, bob_rtcp, None, 0, latching="off"),
    ]
    assert plane.do(*commands) == [0, 0, 0]
    assert plane.send(0, rtp(1), rtcp()) == [(1, rtp(1), BOB), (2, rtcp(), bob_rtcp)]
    assert plane.send(1, rtp(1), source=BOB) == [(0, rtp(1), ALICE)]
    assert plane.send(2, rtcp(), source=bob_rtcp) == [(0, rtcp(), ALICE)]
    assert plane.send(1, rtcp(), source=BOB) == []
    assert plane.send(2, rtp(1), source=bob_rtcp) == []
    assert drops_of(plane) == {"unknown_kind": 2}


@pytest.mark.parametrize(
    ("change", "number", "data", "source", "name"),
    [
        ({}, 5, rtp(1), ALICE, "no_flow"),
        ({}, 0, b"", ALICE, "too_short"),
        ({}, 0, b"\x80", ALICE, "too_short"),
        ({}, 0, rtp(1)[:11], ALICE, "too_short"),
        ({}, 0, b"\xc0" + rtp(1)[1:], ALICE, "unknown_kind"),
        ({}, 0, b"\x40" + rtp(1)[1:], ALICE, "unknown_kind"),
        ({}, 0, b"\x8f" + rtp(1, b"")[1:], ALICE, "malformed"),
        ({}, 0, b"\x90" + rtp(1, b"\xbe\xde\xff\xff")[1:], ALICE, "malformed"),
        ({}, 0, b"\xa0" + rtp(1, b"\xff")[1:], ALICE, "malformed"),
        ({}, 0, rtcp()[:-1], ALICE, "malformed"),
        ({}, 0, rtp(1, bytes(2000)), ALICE, "too_long"),
        ({}, 0, rtp(1), MALLORY, "source"),
        ({"rtp": False}, 0, rtp(1), ALICE, "unknown_kind"),
        ({"rtcp": False}, 0, rtcp(), ALICE, "unknown_kind"),
        ({"may_send": False}, 0, rtp(1), ALICE, "direction"),
        ({"may_receive": False}, 0, rtp(1), ALICE, "direction"),
        ({"secure": True}, 0, rtp(1), ALICE, "not_keyed"),
        ({"receive": 7, "secure": True}, 0, rtp(1), ALICE, "not_keyed"),
        ({"rtp_partner": None}, 0, rtp(1), ALICE, "no_partner"),
        ({"rtp_partner": 30}, 0, rtp(1), ALICE, "no_partner"),
    ],
)
def test_drops_have_names(change: dict[str, Any], number: int, data: bytes, source: tuple[str, int], name: str) -> None:
    """A10, A12: nothing leaves, one counter of the worker rises, and the flow's own one where a flow is concerned."""
    plane = LocalPlane()
    assert plane.do(*bridge(**change)) == [0, 0]
    assert plane.send(number, data, source=source) == []
    assert drops_of(plane) == {name: 1}
    counted_by_flows = plane.flow(0).drops | plane.flow(1).drops
    assert counted_by_flows == ({} if name == "no_flow" else {name: 1})


def test_partner_without_address_or_keys() -> None:
    """A9: nothing is sent before the other leg has an address, and on a secure leg not before it has keys."""
    plane = LocalPlane()
    a, b = bridge()
    assert plane.do(a, changed(b, remote=None)) == [0, 0]
    assert plane.send(0, rtp(1)) == []
    assert plane.do(changed(b, secure=True)) == [0]
    assert plane.send(0, rtp(2)) == []
    assert plane.do(changed(b, secure=True, send=3)) == [0]
    assert plane.send(0, rtp(3)) == []
    assert drops_of(plane) == {"no_partner": 1, "not_keyed": 2}


def test_rtcp_passes_a_held_stream() -> None:
    """RFC 3264 section 5.1: sendonly and inactive concern RTP; RTCP goes on."""
    plane = LocalPlane()
    plane.do(*bridge(may_send=False, may_receive=False))
    assert plane.send(0, rtcp()) == [(1, rtcp(), BOB)]


def test_held_secure_stream_keeps_its_rollover_counter() -> None:
    """F25: packets of a held stream are opened (ROC follows) though not forwarded; resumed, the first one passes."""
    plane = LocalPlane()
    crypto0, crypto1, a, b = secure_bridge()
    assert isinstance(b, InstallFlow)
    plane.do(crypto0, crypto1, a, changed(b, may_send=False))
    phone = session(master_key(0), True)
    held = [phone.protect_rtp(rtp(i)) for i in range(0, 3 * 65536, 1000)]
    assert plane.send(1, *held, source=BOB) == []
    plane.do(b)
    last = rtp(3 * 65536)
    assert plane.send(1, phone.protect_rtp(last), source=BOB) == [(0, last, ALICE)]
    assert drops_of(plane) == {"direction": len(held)}


def test_forged_and_replayed_packets() -> None:
    """A03, A04, A05, A11, A18: flipped bits, another key, plain RTP and RTCP, replays: dropped, counted, no effect."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone, stranger = session(master_key(0), True), session(master_key(5), True)
    good = phone.protect_rtp(rtp(1))
    assert isinstance(good, bytes)
    flipped = [
        bytes(o ^ (1 << i % 8) if n == i // 8 else o for n, o in enumerate(good)) for i in range(16, 8 * len(good), 7)
    ]
    plane.send(1, *flipped, source=BOB)
    plane.send(1, stranger.protect_rtp(rtp(2)), stranger.protect_rtcp(rtcp()), rtp(3), rtcp(), source=BOB)
    assert plane.flow(1).packets_in == 0
    assert plane.mailbox.crypto(0).stream_count == 0
    assert plane.send(1, good, good, good, source=BOB) == [(0, rtp(1), ALICE)]
    found = drops_of(plane)
    assert found.pop("replay") == 2
    assert sum(found.values()) == len(flipped) + 4
    assert set(found) <= {"auth_fail", "malformed", "unknown_kind", "too_short"}
    assert found["auth_fail"] >= len(flipped) - 8


def test_every_truncated_length() -> None:
    """A10: each length 0..64 of RTP, SRTP, RTCP, SRTCP, STUN, DTLS and noise; a good packet still passes."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    whole = [
        rtp(1),
        rtcp(),
        phone.protect_rtp(rtp(1)),
        phone.protect_rtcp(rtcp()),
        bytes(64),
        b"\x16\xfe\xfd" * 30,
        b"\x9f" * 90,
    ]
    pieces = [data[:length] for data in whole for length in range(65) if isinstance(data, bytes)]
    for number, source in ((0, ALICE), (1, BOB)):
        for start in range(0, len(pieces), 100):
            plane.send(number, *pieces[start : start + 100], source=source)
            plane.mailbox.take([])
    assert plane.counters()["received"] == 2 * len(pieces) == 2 * 7 * 65
    assert balanced(plane.counters(), DROPS)
    assert plane.send(1, phone.protect_rtp(rtp(2)), source=BOB) == [(0, rtp(2), ALICE)]


@pytest.mark.parametrize(
    ("first", "kind"), [(0, "stun"), (3, "stun"), (16, "zrtp"), (19, "zrtp"), (20, "dtls"), (63, "dtls")]
)
def test_what_is_not_media_goes_up(first: int, kind: str) -> None:
    """D10, A12: with source and flow, from any source, and never out of a socket again."""
    plane = LocalPlane()
    plane.do(*bridge(dtls=True))
    data = bytes([first]) + os.urandom(400)
    assert plane.send(0, data, source=MALLORY) == []
    up: list[Any] = []
    plane.mailbox.take(up)
    (punt,) = up
    assert isinstance(punt, Punt)
    assert (punt.flow, punt.kind, punt.source, punt.data) == (0, kind, MALLORY, data)
    assert plane.counters()["punted"] == 1
    assert drops_of(plane) == {}


@pytest.mark.parametrize("first", [4, 15, 64, 79, 80, 127, 192, 255])
def test_the_rest_is_dropped(first: int) -> None:
    """D10: octets outside RFC 7983's ranges (and TURN channels, which nobody here expects)."""
    plane = LocalPlane()
    plane.do(*bridge())
    plane.send(0, bytes([first]) + bytes(40))
    assert drops_of(plane) == {"unknown_kind": 1}


def test_dtls_where_none_is_expected() -> None:
    """D10: a flow whose keys do not come of a handshake takes none."""
    plane = LocalPlane()
    plane.do(*bridge())
    plane.send(0, bytes([22]) + bytes(50))
    assert drops_of(plane) == {"unknown_kind": 1}


def test_injected_datagrams_leave_from_the_flows_socket() -> None:
    plane = LocalPlane()
    plane.do(*bridge())
    plane.mailbox.inject(1, b"\x16 a handshake", *MALLORY)
    plane.mailbox.inject(9, b"no such flow", *MALLORY)
    plane.worker.turn()
    assert plane.port.collect() == [(1, b"\x16 a handshake", MALLORY)]
    assert (plane.counters()["injected"], plane.counters()["inject_failed"]) == (1, 1)


@pytest.mark.row("A18", "A22")
def test_injected_rtcp_is_sealed() -> None:
    """What the control process says in RTCP leaves a secure leg as SRTCP, a plain one as it is, and a leg without keys,
    or as a lie about its length, not at all."""
    plane, phone = LocalPlane(), session(master_key(1), False)
    plane.do(*secure_bridge())
    for data in (rtcp(), rtcp(), rtcp()[:-2]):
        plane.mailbox.inject(1, data, *BOB)
        plane.worker.turn()
    sealed = plane.port.collect()
    assert [(number, to) for number, _, to in sealed] == [(1, BOB)] * 2
    assert [phone.unprotect_rtcp(data) for _, data, _ in sealed] == [rtcp()] * 2
    assert sealed[0][1] != sealed[1][1], "an index of its own for each"
    assert os.pread(plane.fd, plane.arena.octets, 0).count(rtcp()) == 2, "a successor would find them sealed"
    plane.mailbox.inject(0, rtcp(), *ALICE)
    plane.worker.turn()
    assert plane.port.collect() == [(0, rtcp(), ALICE)]
    plane.do(*bridge(secure=True))
    plane.mailbox.inject(1, rtcp(), *BOB)
    plane.worker.turn()
    assert plane.port.collect() == []
    assert (plane.counters()["injected"], plane.counters()["inject_failed"]) == (3, 2)


def test_a_kernel_that_refuses_to_send_is_counted() -> None:
    plane = LocalPlane()
    plane.do(*bridge())
    for data in [rtp(i) for i in range(1024)]:
        plane.port.inject(0, data, *ALICE)
    for _ in range(16):
        plane.worker.turn()
    plane.port.inject(0, rtp(1024), *ALICE)
    plane.worker.turn()
    assert len(plane.port.collect()) == 1024
    assert drops_of(plane) == {"send": 1}
    assert plane.flow(1).packets_out == 1024


def test_removed_flow_is_forgotten_by_its_partner() -> None:
    """B12, A9: a slot's next user must not receive the old partner's media."""
    plane = LocalPlane()
    plane.do(*bridge())
    assert plane.do(RemoveFlow(1), RemoveFlow(1)) == [0, 0]
    stranger = InstallFlow(1, "memory", 8, True, True, MALLORY, latching="off")
    assert plane.do(stranger) == [0]
    assert plane.send(0, rtp(1)) == []
    assert drops_of(plane) == {"no_partner": 1}
    assert plane.flow(1).packets_out == 0


def test_flood_of_forged_ssrcs_takes_no_memory() -> None:
    """A05, B6, DTLS-11: forged SSRCs create no state: the arena stays as it is, octet for octet but counters."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    plane.send(1, phone.protect_rtp(rtp(1)), source=BOB)
    before = plane.mailbox.crypto(0)
    for block in range(40):
        forged = [rtp(i, ssrc=block * 512 + i + 1) for i in range(512)]
        plane.send(1, *forged, source=MALLORY)
    after = plane.mailbox.crypto(0)
    assert (after.stream_count, after.streams, after.packets) == (before.stream_count, before.streams, before.packets)
    assert plane.flow(1).current == BOB
    assert plane.send(1, phone.protect_rtp(rtp(2)), source=BOB) == [(0, rtp(2), ALICE)]
    assert drops_of(plane)["auth_fail"] == 40 * 512


def test_one_leg_does_not_take_the_ssrcs_of_all() -> None:
    """B6: SSRC slots are shared by all calls; whatever one source makes up, every context still gets its first SSRC,
    also after the worker was replaced."""
    for replaced in (False, True):
        plane = LocalPlane(calls=1)
        plane.do(*secure_bridge())
        passed = plane.send(0, *[rtp(1, ssrc=number) for number in range(16)])
        assert 1 < len(passed) < 8
        if replaced:
            plane.start()
        assert len(plane.send(0, rtp(1, ssrc=99))) == 0
        phone = session(master_key(0), True)
        assert plane.send(1, phone.protect_rtp(rtp(2)), source=BOB) == [(0, rtp(2), ALICE)]
        plane.do(RemoveCrypto(1), InstallCrypto(1, CM128, master_key(5), True))
        assert len(plane.send(0, *[rtp(3, ssrc=number) for number in range(16)])) == len(passed)


def test_installing_again_continues() -> None:
    """Idempotence: same parameters and key keep ROC and counters; removal frees slot and keys."""
    plane = LocalPlane()
    plane.do(*secure_bridge())
    phone = session(master_key(0), True)
    plane.send(1, *[phone.protect_rtp(rtp(i)) for i in (65534, 65535, 65536)], source=BOB)
    plane.do(*secure_bridge())
    assert plane.send(1, phone.protect_rtp(rtp(65537)), source=BOB) == [(0, rtp(65537), ALICE)]
    assert plane.flow(1).packets_in == 4
    assert plane.mailbox.crypto(0).streams[0].roc == 1
    assert plane.do(RemoveFlow(0), RemoveFlow(1), RemoveCrypto(0), RemoveCrypto(1)) == [0] * 4
    assert (plane.mailbox.flows(), plane.mailbox.cryptos()) == ([], [])
    assert plane.do(InstallCrypto(0, CM128, master_key(0), False), RemoveCrypto(0)) == [0, 0]
