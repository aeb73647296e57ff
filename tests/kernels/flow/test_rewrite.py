"""What is blocked, sent back, cut out and renumbered between open and seal, over the memory port."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.control.commands import InstallFlow
from kernels.control.mailbox import DROPS
from tests.kernels.rig import (
    ALICE,
    BOB,
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
NACK = bytes([0x81, 205, 0, 3]) + (1).to_bytes(4) + (2).to_bytes(4) + bytes(4)  # RFC 4585 section 6.2.1
PLI = bytes([0x81, 206, 0, 2]) + (1).to_bytes(4) + (2).to_bytes(4)
REMB = bytes([0x8F, 206, 0, 5]) + (1).to_bytes(4) + bytes(4) + b"REMB" + bytes(8)


def drops_of(plane: LocalPlane) -> dict[str, int]:
    counters = plane.counters()
    assert balanced(counters, DROPS)
    return {name: counters[name] for name in DROPS if name in counters}


def pair(a: dict[str, Any] | None = None, b: dict[str, Any] | None = None) -> list[InstallFlow]:
    """The plain bridge, with changes of its legs."""
    one, other = bridge()
    return [dataclasses.replace(one, **(a or {})), dataclasses.replace(other, **(b or {}))]


def extended(profile: int, elements: bytes, payload: bytes = b"sound", csrcs: int = 0) -> bytes:
    """RTP with a header extension; the block is padded to whole words."""
    elements += bytes(-len(elements) % 4)
    head = rtp(7, b"", kind=0x80 | 96)
    head = bytes([head[0] | 0x10 | csrcs]) + head[1:] + bytes(4 * csrcs)
    return head + profile.to_bytes(2) + (len(elements) // 4).to_bytes(2) + elements + payload


def test_a_blocked_leg_is_judged_and_counted_and_goes_no_further() -> None:
    """peers 1.1 "block media": RTP and RTCP of one leg stop, the other direction goes on, ROC and address follow."""
    plane = LocalPlane()
    crypto0, crypto1, a, b = secure_bridge()
    assert isinstance(b, InstallFlow)
    blocked = dataclasses.replace(b, blocked=True)
    assert plane.do(crypto0, crypto1, a, blocked) == [0] * 4
    phone = session(master_key(0), True)
    moved = ("198.51.100.7", 5099)
    held = [phone.protect_rtp(rtp(65000 + i)) for i in range(0, 2000, 100)]
    assert plane.send(1, *held, phone.protect_rtcp(rtcp()), source=moved) == []
    assert plane.send(0, rtp(1))[0][2] == moved
    status = plane.flow(1)
    assert (status.packets_in, status.drops["blocked"], status.current) == (len(held) + 1, len(held) + 1, moved)
    assert plane.send(1, b"\x80" + bytes(40), source=BOB) == []
    assert plane.flow(1).drops["auth_fail"] == 1
    assert plane.do(b) == [0]
    assert plane.send(1, phone.protect_rtp(rtp(67000)), source=moved) == [(0, rtp(67000), ALICE)]
    assert drops_of(plane) == {"blocked": len(held) + 1, "auth_fail": 1}


def test_echo_returns_media_under_the_legs_own_sending_context() -> None:
    """peers 1.1 "media echo": a leg whose partner is itself gets its media back, sealed with the key it listens to."""
    plane = LocalPlane()
    crypto0, crypto1, a, b = secure_bridge()
    assert isinstance(b, InstallFlow)
    plane.do(crypto0, crypto1, a, dataclasses.replace(b, rtp_partner=1, rtcp_partner=1))
    out, back = session(master_key(0), True), session(master_key(1), False)
    sent = [rtp(i) for i in range(100)]
    returned = plane.send(1, *[out.protect_rtp(packet) for packet in sent], source=BOB)
    assert [back.unprotect_rtp(data) for number, data, peer in returned if (number, peer) == (1, BOB)] == sent
    ((number, report, peer),) = plane.send(1, out.protect_rtcp(rtcp()), source=BOB)
    assert (number, back.unprotect_rtcp(report), peer) == (1, rtcp(), BOB)
    assert drops_of(plane) == {}


@pytest.mark.parametrize("side", [0, 1])
def test_feedback_is_cut_out_from_and_to_a_leg_without_avpf(side: int) -> None:
    """A22: NACK, PLI and REMB do not pass an AVP leg in either direction; the reports around them do."""
    plane = LocalPlane()
    without = {"feedback": False}
    plane.do(*(pair(a=without) if side == 0 else pair(b=without)))
    report, source_description = rtcp()[:28], rtcp()[28:]
    for number, source, out in ((0, ALICE, (1, BOB)), (1, BOB, (0, ALICE))):
        for compound in (
            report + source_description + NACK,
            report + NACK + PLI + source_description + REMB,
            NACK + report + source_description,
        ):
            assert plane.send(number, compound, source=source) == [(out[0], rtcp(), out[1])]
        assert plane.send(number, NACK + PLI, REMB, source=source) == []
        assert plane.send(number, rtp(1), rtcp(), source=source) == [(out[0], rtp(1), out[1]), (out[0], rtcp(), out[1])]
        assert plane.flow(number).drops == {"feedback": 2}
    assert drops_of(plane) == {"feedback": 4}


def test_reports_of_feedback_come_at_their_own_pace() -> None:
    """A22, RFC 4585 section 3: a report that came because of feedback goes to an AVP leg once a second; all others, and
    sender reports, do at once."""
    plane = LocalPlane()
    plane.do(*pair(b={"feedback": False}))
    report = bytes([0x80, 201, 0, 1]) + (1).to_bytes(4)
    passed = [(1, report, BOB)]
    assert plane.send(0, report + NACK, report + NACK, report + PLI) == passed
    assert plane.flow(0).drops == {"feedback": 2}
    assert plane.send(0, report, report, NACK + rtcp(), rtcp() + PLI) == 2 * passed + 2 * [(1, rtcp(), BOB)]
    time.sleep(1.01)
    assert plane.send(0, report + NACK, report + NACK) == passed
    plane.do(*pair())
    assert plane.send(0, report + NACK, report + NACK) == 2 * [(1, report + NACK, BOB)]


def test_feedback_passes_between_avpf_legs() -> None:
    """A22: AVPF on both sides: octet for octet."""
    plane = LocalPlane()
    plane.do(*pair())
    compound = rtcp() + NACK + REMB
    assert plane.send(0, compound, NACK) == [(1, compound, BOB), (1, NACK, BOB)]


def test_feedback_is_cut_before_the_tag_is_made() -> None:
    """A22: what a secure AVP leg gets authenticates, and holds no feedback."""
    plane = LocalPlane()
    plane.do(*secure_bridge(feedback=False))
    ((_, sealed, _),) = plane.send(0, rtcp() + NACK)
    assert session(master_key(1), False).unprotect_rtcp(sealed) == rtcp()


def test_payload_types_are_renumbered_per_direction() -> None:
    """G25: 111 is opus here and speex there: each leg gets its own numbers; marker and other numbers stay."""
    plane = LocalPlane()
    plane.do(*pair(a={"payload_types": ((96, 111),)}, b={"payload_types": ((111, 96), (96, 111))}))
    for before, now in ((111, 96), (96, 111), (0, 0), (0x80 | 111, 0x80 | 96), (101, 101)):
        assert plane.send(0, rtp(1, kind=before)) == [(1, rtp(1, kind=now), BOB)]
    assert plane.send(1, rtp(1, kind=96), source=BOB) == [(0, rtp(1, kind=111), ALICE)]
    assert plane.send(1, rtp(1, kind=111), source=BOB) == [(0, rtp(1, kind=111), ALICE)]
    assert plane.send(0, rtcp()) == [(1, rtcp(), BOB)]


def test_renumbered_packets_authenticate_on_a_secure_leg() -> None:
    """G25, A24: the type is changed before the tag is made."""
    plane = LocalPlane()
    plane.do(*secure_bridge(payload_types=((0, 8),), extensions=((3, 5),)))
    ((_, sealed, _),) = plane.send(0, rtp(1))
    phone = session(master_key(1), False)
    assert phone.unprotect_rtp(sealed) == rtp(1, kind=8)
    ((_, sealed, _),) = plane.send(0, extended(0xBEDE, b"\x30\x55"))
    assert phone.unprotect_rtp(sealed) == extended(0xBEDE, b"\x50\x55")


ONE, TWO = 0xBEDE, 0x1005


@pytest.mark.parametrize(
    ("profile", "before", "after"),
    [
        (ONE, b"\x10\xaa", b"\x20\xaa"),  # RFC 6464: id 1 here is 2 there
        (ONE, b"\x31\xaa\xbb\x10\xcc", b"\x00\x00\x00\x20\xcc"),  # 3 was not negotiated there
        (ONE, b"\x00\x00\x10\xaa", b"\x00\x00\x20\xaa"),  # padding before
        (ONE, b"\x50\xaa\x10\xbb", b"\x00\x00\x20\xbb"),  # 5 is 200 there: no one-byte id
        (ONE, b"\x10\xaa\xf0\x10\xbb", b"\x20\xaa\x00\x00\x00"),  # RFC 8285 section 4.2: 15 ends the reading
        (ONE, b"\x10\xaa\x1f\xbb\xcc", b"\x20\xaa\x00\x00\x00"),  # longer than its block
        (ONE, b"\x02\x01\x02\x03\x10\xaa", b"\x00\x00\x00\x00\x20\xaa"),  # id 0 with a length
        (TWO, b"\x01\x01\xaa\x05\x02\xbb\xcc", b"\x02\x01\xaa\xc8\x02\xbb\xcc"),
        (TWO, b"\x01\x00\x03\x01\xaa", b"\x02\x00\x00\x00\x00"),  # empty element; unknown one
        (TWO, b"\x01\x01\xaa\x01\x09", b"\x02\x01\xaa\x00\x00"),  # longer than its block
        (TWO, b"\x00\x01\x01\xaa\x00\x00\x00\x01", b"\x00\x02\x01\xaa\x00\x00\x00\x00"),  # id without a length
        (0x1234, b"\x10\xaa\x10\xaa", b"\x10\xaa\x10\xaa"),  # no extension of RFC 8285: extmap says nothing of it
        (ONE, b"", b""),
    ],
)
@pytest.mark.parametrize("csrcs", [0, 15])
def test_header_extensions(profile: int, before: bytes, after: bytes, csrcs: int) -> None:
    """G13, G14: ids are the other leg's, what it did not negotiate is blanked, length and payload stay."""
    plane = LocalPlane()
    plane.do(*pair(b={"extensions": ((1, 2), (5, 200))}))
    sent = plane.send(0, extended(profile, before, csrcs=csrcs), rtp(1))
    assert sent == [(1, extended(profile, after, csrcs=csrcs), BOB), (1, rtp(1), BOB)]
    back = extended(profile, before)
    assert plane.send(1, back, source=BOB) == [(0, back, ALICE)]


def test_no_extension_negotiated_means_none_passes() -> None:
    """G13: an empty table blanks all of them."""
    plane = LocalPlane()
    plane.do(*pair(b={"extensions": ()}))
    ((_, got, _),) = plane.send(0, extended(ONE, b"\x10\xaa\x20\xbb"))
    assert got == extended(ONE, bytes(4))


@given(profile=st.sampled_from((ONE, TWO, 0x100F)), elements=st.binary(max_size=40))
def test_any_block_keeps_its_length_and_neighbours(profile: int, elements: bytes) -> None:
    """G13, A10: whatever a block holds, nothing outside of it changes, and no id passes that is not in the table."""
    plane = _PLANE[0]
    packet = extended(profile, elements)
    ((_, got, _),) = plane.send(0, packet)
    assert len(got) == len(packet)
    assert got[:16] == packet[:16]
    assert got.endswith(b"sound")
    ids = set()
    at, block = 0, got[16 : len(got) - 5]
    while at < len(block):
        if block[at] == 0:
            at += 1
            continue
        name = block[at] >> 4 if profile == ONE else block[at]
        ids.add(name)
        at += 2 + (block[at] & 15) if profile == ONE else 2 + block[at + 1]
    assert at == len(block)
    assert ids <= {2, 9}


_PLANE = [LocalPlane()]
_PLANE[0].do(*pair(b={"extensions": ((1, 2), (9, 9), (3, 2))}))


@pytest.mark.parametrize(
    "change",
    [
        {"payload_types": ((0, 72),)},
        {"payload_types": ((0, 128),)},
        {"payload_types": tuple((i, i) for i in range(33))},
        {"extensions": ((0, 1),)},
        {"extensions": ((1, 256),)},
        {"extensions": tuple((i, i) for i in range(1, 32))},
    ],
)
def test_tables_that_no_packet_could_follow_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"payload type|extension"):
        LocalPlane().do(*pair(b=change))


def test_a_table_is_kept_by_the_next_worker() -> None:
    """F2: the rewriting of a flow is in the arena."""
    plane = LocalPlane()
    plane.do(*pair(b={"payload_types": ((111, 96),), "feedback": False}))
    plane.start()
    assert plane.send(0, rtp(1, kind=111), rtcp() + NACK) == [(1, rtp(1, kind=96), BOB), (1, rtcp(), BOB)]
