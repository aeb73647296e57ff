"""RTCP about a plain source that began anew (A22, G02, issue 6 item 4): the far end of the secure leg counts in the
shifted sequence numbers that it gets; what it says reaches the source in the source's own."""

from __future__ import annotations

import struct

import pytest

from kernels.control.mailbox import DROPS
from tests.kernels.guarded import damaged
from tests.kernels.rig import (
    ALICE,
    BOB,
    LocalPlane,
    LocalTeam,
    balanced,
    bridge,
    export,
    master_key,
    rtp,
    secure_bridge,
    session,
    take,
)

pytestmark = pytest.mark.malformed
VOICE, OTHER = 0x11223344, 0x55667788
OLD, NEW, BOTH = 30_000, 1_000, 40  # last number before, first number after, packets of each section
SHIFT = OLD + 1 - (NEW + 1)  # the first packet of the new section is on probation


class Far:
    """Alice plain, began anew; Bob secure, and his context to send by."""

    def __init__(self, *, anew: bool = True) -> None:
        self.plane = LocalPlane()
        self.plane.do(*secure_bridge(latching="off"))
        self.context = session(master_key(0), True)
        self.hears = session(master_key(1), False)
        self.numbers = self._speak(range(OLD - BOTH, OLD + 1))
        if anew:
            self.numbers += self._speak(range(NEW, NEW + BOTH))

    def _speak(self, numbers: range) -> list[int]:
        """What Bob gets."""
        opened = [self.hears.unprotect_rtp(data) for _, data, _ in self.plane.send(0, *map(rtp, numbers))]
        return [int.from_bytes(data[2:4]) for data in opened if isinstance(data, bytes)]

    def says(self, *parts: bytes) -> bytes:
        """A compound of Bob's, as Alice gets it."""
        sealed = self.context.protect_rtcp(b"".join(parts))
        assert isinstance(sealed, bytes)
        [(_, data, _)] = self.plane.send(1, sealed, source=BOB)
        return data


def part(kind: int, form: int, *words: bytes) -> bytes:
    body = OTHER.to_bytes(4) + b"".join(words)
    return bytes([0x80 | form, kind]) + (len(body) // 4).to_bytes(2) + body


def block(ssrc: int, highest: int) -> bytes:
    return struct.pack(">IIIIII", ssrc, 5 << 24 | 7, highest, 33, 0x12345678, 0x1000)


def receiver_report(*blocks: bytes) -> bytes:
    return part(201, len(blocks), *blocks)


def sender_report(*blocks: bytes) -> bytes:
    return part(200, len(blocks), bytes(range(20)), *blocks)


def nack(ssrc: int, *pairs: tuple[int, int], form: int = 1) -> bytes:
    return part(205, form, ssrc.to_bytes(4), *(struct.pack(">HH", *pair) for pair in pairs))


def ccfb(*runs: tuple[int, int, int]) -> bytes:
    """RFC 8888 section 3.1: SSRC, first number, how many."""
    body = [struct.pack(">IHH", *run) + b"\x80\x01" * (run[2] + run[2] % 2) for run in runs]
    return part(205, 11, *body, b"\x00\x00\x00\x63")


def extended(kind: int, ssrc: int, begin: int, end: int) -> bytes:
    block = struct.pack(">BBHIHH", kind, 0, 3, ssrc, begin, end) + b"\x40\x01\x00\x00"
    return part(207, 0, block)


def test_bob_counts_on() -> None:
    """What the rest of this file is about: Alice's numbers begin anew, those that Bob gets do not."""
    assert Far().numbers == list(range(OLD - BOTH, OLD + BOTH))


@pytest.mark.row("A22", "G02")
def test_every_format_is_told_in_the_sources_numbers() -> None:
    """One compound: report blocks of SR and RR, NACK and TLLEI, RFC 8888, extended reports. Everything else of it, and
    what it says of other SSRCs, stays octet for octet; differences of extended numbers hold across a wrap."""
    far, heard = Far(), OLD + 5
    ours = heard - SHIFT
    said = [
        sender_report(block(OTHER, heard), block(VOICE, heard)),
        receiver_report(block(VOICE, 0x20000 + 3), block(VOICE, 0x20000 + SHIFT + 9)),
        nack(VOICE, (heard, 0x8001), (3, 0)),
        nack(VOICE, (heard, 1), form=7),
        nack(OTHER, (heard, 0x8001)),
        ccfb((OTHER, heard, 3), (VOICE, heard, 2)),
        *(extended(kind, VOICE, heard, heard + 9) for kind in (1, 2, 3, 6)),
        extended(7, VOICE, heard, heard),
        nack(VOICE, (heard, 0), form=15),  # transport-wide: numbers of the path, not of the stream
        part(206, 1, VOICE.to_bytes(4)),
    ]
    told = [
        sender_report(block(OTHER, heard), block(VOICE, ours)),
        receiver_report(block(VOICE, 0x20000 + 3 - SHIFT), block(VOICE, 0x20000 + 9)),
        nack(VOICE, (ours, 0x8001), (3 - SHIFT & 0xFFFF, 0)),
        nack(VOICE, (ours, 1), form=7),
        nack(OTHER, (heard, 0x8001)),
        ccfb((OTHER, heard, 3), (VOICE, ours, 2)),
        *(extended(kind, VOICE, ours, ours + 9) for kind in (1, 2, 3, 6)),
        extended(7, VOICE, heard, heard),
        nack(VOICE, (heard, 0), form=15),
        part(206, 1, VOICE.to_bytes(4)),
    ]
    assert far.says(*said) == b"".join(told)
    assert balanced(far.plane.counters(), DROPS)


@pytest.mark.row("A22")
def test_a_nacked_packet_is_the_one_that_was_lost() -> None:
    """Bob lost the fifth packet of the new section: Alice is asked for the number that she sent it under."""
    far = Far()
    lost = far.numbers[BOTH + 1 + 5]
    data = far.says(receiver_report(block(VOICE, far.numbers[-1])), nack(VOICE, (lost, 0)))
    assert int.from_bytes(data[-4:-2]) == NEW + 1 + 5
    assert int.from_bytes(data[16:20]) == NEW + BOTH - 1


@pytest.mark.row("A22")
def test_nothing_changes_for_a_source_that_goes_on() -> None:
    said = receiver_report(block(VOICE, OLD)), nack(VOICE, (OLD, 1)), ccfb((VOICE, OLD, 2))
    assert Far(anew=False).says(*said) == b"".join(said)


def test_between_plain_legs_nothing_is_shifted() -> None:
    plane = LocalPlane()
    plane.do(*bridge())
    plane.send(0, *map(rtp, [*range(OLD - 9, OLD), *range(NEW, NEW + 9)]))
    said = receiver_report(block(VOICE, NEW)) + nack(VOICE, (NEW, 1))
    assert [data for _, data, _ in plane.send(1, said, source=BOB)] == [said]


@pytest.mark.row("A22", "F1")
def test_a_new_worker_goes_on() -> None:
    """The shift is in the arena."""
    far = Far()
    far.plane.start()
    far.plane.do(*secure_bridge(latching="off"))
    assert far.says(nack(VOICE, (OLD, 0)))[-4:-2] == (OLD - SHIFT).to_bytes(2)


@pytest.mark.row("A10", "A22")
def test_lies_about_lengths_are_read_to_their_end_only() -> None:
    """Formats cut short, padded, with counts that do not fit: no octet beyond the packet is read or written, nothing
    raises, and what comes out is as long as what went in."""
    far = Far()
    whole = [
        sender_report(block(VOICE, OLD)), receiver_report(block(VOICE, OLD), block(VOICE, OLD)), nack(VOICE, (OLD, 1)),
        ccfb((VOICE, OLD, 3), (VOICE, OLD, 2)), extended(1, VOICE, OLD, OLD),
    ]  # fmt: skip
    for said in whole:
        for octets in range(8, len(said) + 1, 4):
            cut = said[:2] + (octets // 4 - 1).to_bytes(2) + said[4:octets]
            assert len(far.says(cut)) == octets
            assert len(far.says(bytes([0x9F]) + cut[1:])) == octets
            padded = bytes([cut[0] | 0x20]) + cut[1:2] + (octets // 4).to_bytes(2) + cut[4:] + b"\0\0\0\4"
            assert far.says(padded)[-4:] == b"\0\0\0\4"
    for said in damaged(b"".join(whole), 5000):
        sealed = far.context.protect_rtcp(said)
        if isinstance(sealed, bytes):
            assert all(len(data) == len(said) for _, data, _ in far.plane.send(1, sealed, source=BOB))
    assert balanced(far.plane.counters(), DROPS)


@pytest.mark.row("A22")
def test_a_move_takes_the_shift_along() -> None:
    team = LocalTeam()
    team.do(0, *secure_bridge(latching="off"))
    for number in [*range(OLD - 9, OLD + 1), *range(NEW, NEW + 9)]:
        team.ports[0].inject(0, rtp(number), *ALICE)
        team.turn(0)
    assert team.do(0, export(7, 1)) == [0]
    assert team.do(1, take(7)) == [0]
    sealed = session(master_key(0), True).protect_rtcp(nack(VOICE, (OLD, 0)))
    assert isinstance(sealed, bytes)
    team.ports[1].collect()
    team.ports[1].inject(1, sealed, *BOB)
    team.turn(1)
    [(_, data, _)] = team.ports[1].collect()
    assert data[-4:-2] == (OLD - SHIFT).to_bytes(2)
