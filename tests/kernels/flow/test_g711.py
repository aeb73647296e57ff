"""G.711 between two legs of different laws: every octet of both tables, and what of a packet is transcoded."""

from __future__ import annotations

import dataclasses
import random
import warnings

import pytest

from kernels.control.commands import InstallFlow
from kernels.control.mailbox import DROPS
from kernels.flow.g711 import converted
from tests.kernels.rig import ALICE, BOB, LocalPlane, balanced, bridge, master_key, rtcp, rtp, secure_bridge, session

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

pytestmark = pytest.mark.row("P06")
CODES = bytes(range(256))
PCMU, PCMA, EVENT, NOISE = 0, 8, 101, 13
ALAW_HERE, ULAW_HERE = (PCMU, PCMA, "pcma"), (PCMA, PCMU, "pcmu")


def alaw(code: int) -> int:
    """G.711 table 1a on the 16-bit scale: eight segments, the first two of equal steps; even bits are inverted."""
    segment, step = (code ^ 0x55) >> 4 & 7, (code ^ 0x55) & 15
    magnitude = (step * 2 + 1) * 8 if segment == 0 else step * 2 + 33 << segment + 2
    return magnitude if code & 0x80 else -magnitude


def ulaw(code: int) -> int:
    """G.711 table 2a on the 16-bit scale; all bits are inverted."""
    segment, step = ~code >> 4 & 7, ~code & 15
    magnitude = 4 * ((step * 2 + 33 << segment) - 33)
    return magnitude if code & 0x80 else -magnitude


def test_every_code_becomes_that_of_its_step_in_the_other_law() -> None:
    """2 x 256 values: the sign stays, and the value lies in the step of the code that it becomes."""
    for code, became in zip(CODES, converted(CODES, "pcma"), strict=True):
        step = max(16, 2 ** max(0, abs(alaw(became)).bit_length() - 5))
        assert abs(ulaw(code) - alaw(became)) <= step / 2
        assert ulaw(code) == 0 or (ulaw(code) > 0) == (alaw(became) > 0)
    for code, became in zip(CODES, converted(CODES, "pcmu"), strict=True):
        step = 4 * 2 ** max(1, (abs(ulaw(became)) // 4 + 33).bit_length() - 5)
        assert abs(alaw(code) - ulaw(became)) <= step / 2
        assert ulaw(became) == 0 or (alaw(code) > 0) == (ulaw(became) > 0)


def test_tables_are_those_of_an_independent_implementation() -> None:
    """Python's audioop (after Sun's g711.c): decode to 16 bits, encode."""
    assert [ulaw(code) for code in CODES] == list(memoryview(audioop.ulaw2lin(CODES, 2)).cast("h"))
    assert [alaw(code) for code in CODES] == list(memoryview(audioop.alaw2lin(CODES, 2)).cast("h"))
    assert converted(CODES, "pcma") == audioop.lin2alaw(audioop.ulaw2lin(CODES, 2), 2)
    assert converted(CODES, "pcmu") == audioop.lin2ulaw(audioop.alaw2lin(CODES, 2), 2)
    assert converted(b"\xff\x7f", "pcma") == b"\xd5\xd5"  # silence
    with pytest.raises(ValueError, match="law"):
        converted(CODES, "g729")


def packet(kind: int, payload: bytes, *, csrcs: int = 0, extension: bytes = b"", padding: int = 0) -> bytes:
    head = rtp(7, b"", kind=kind)
    first = 0x80 | csrcs | (0x10 if extension else 0) | (0x20 if padding else 0)
    block = b"\xbe\xde" + (len(extension) // 4).to_bytes(2) + extension if extension else b""
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    return bytes([first]) + head[1:] + CODES[: 4 * csrcs] + block + payload + tail


@pytest.mark.parametrize("marker", [0, 0x80])
@pytest.mark.parametrize(("csrcs", "extension", "padding"), [(0, b"", 0), (3, b"\x10\x21\x00\x00", 7), (15, b"", 1)])
def test_payload_and_number_change_and_nothing_else(marker: int, csrcs: int, extension: bytes, padding: int) -> None:
    """Header, CSRCs, extension, padding, marker, sequence and timestamp stay, both ways."""
    one, other = bridge()
    assert isinstance(one, InstallFlow)
    assert isinstance(other, InstallFlow)
    plane = LocalPlane()
    plane.do(dataclasses.replace(one, transcode=(ULAW_HERE,)), dataclasses.replace(other, transcode=(ALAW_HERE,)))

    def sent(kind: int, payload: bytes) -> bytes:
        return packet(marker | kind, payload, csrcs=csrcs, extension=extension, padding=padding)

    assert plane.send(0, sent(PCMU, CODES)) == [(1, sent(PCMA, converted(CODES, "pcma")), BOB)]
    assert plane.send(1, sent(PCMA, CODES), source=BOB) == [(0, sent(PCMU, converted(CODES, "pcmu")), ALICE)]
    assert plane.send(0, sent(PCMU, b"")) == [(1, sent(PCMA, b""), BOB)]
    counters = plane.counters()
    assert counters["transcoded"] == 3
    assert balanced(counters, DROPS)


def test_other_payload_types_pass_as_they_are() -> None:
    """Telephone-event (renumbered all the same), comfort noise, the law of the far side, what nobody negotiated."""
    one, other = bridge()
    assert isinstance(other, InstallFlow)
    plane = LocalPlane()
    plane.do(one, dataclasses.replace(other, transcode=(ALAW_HERE,), payload_types=((EVENT, 97),)))
    for kind, becomes in ((EVENT, 97), (NOISE, NOISE), (PCMA, PCMA), (18, 18)):
        assert plane.send(0, rtp(1, CODES, kind=kind)) == [(1, rtp(1, CODES, kind=becomes), BOB)]
    assert plane.send(0, rtcp()) == [(1, rtcp(), BOB)]
    assert "transcoded" not in plane.counters()


def test_between_plain_and_srtp_it_is_the_plain_payload_that_changes() -> None:
    """After unprotecting, before protecting; the law of the leg that gets it."""
    plane = LocalPlane()
    crypto0, crypto1, a, b = secure_bridge()
    assert isinstance(a, InstallFlow)
    assert isinstance(b, InstallFlow)
    a, b = dataclasses.replace(a, transcode=(ULAW_HERE,)), dataclasses.replace(b, transcode=(ALAW_HERE,))
    assert plane.do(crypto0, crypto1, a, b) == [0] * 4
    out, back = session(master_key(0), True), session(master_key(1), False)
    ((_, data, _),) = plane.send(0, rtp(1, CODES, kind=PCMU))
    assert back.unprotect_rtp(data) == rtp(1, converted(CODES, "pcma"), kind=PCMA)
    assert plane.send(1, out.protect_rtp(rtp(2, CODES, kind=PCMA)), source=BOB) == [
        (0, rtp(2, converted(CODES, "pcmu"), kind=PCMU), ALICE)
    ]
    assert plane.counters()["transcoded"] == 2


def test_a_flow_that_is_installed_without_it_transcodes_no_more() -> None:
    """A re-INVITE that finds a common codec ends it."""
    one, other = bridge()
    assert isinstance(other, InstallFlow)
    plane = LocalPlane()
    plane.do(one, dataclasses.replace(other, transcode=(ALAW_HERE,)))
    assert plane.send(0, rtp(1, CODES)) == [(1, rtp(1, converted(CODES, "pcma"), kind=PCMA), BOB)]
    plane.do(other)
    assert plane.send(0, rtp(2, CODES)) == [(1, rtp(2, CODES), BOB)]


@pytest.mark.malformed
def test_lengths_that_lie_are_dropped_before_it() -> None:
    """Every length, padding count and CSRC count: what passes rtp_check is transcoded within the datagram."""
    one, other = bridge()
    assert isinstance(other, InstallFlow)
    plane, dice = LocalPlane(slack=0), random.Random(6)
    plane.do(one, dataclasses.replace(other, transcode=(ALAW_HERE,)))
    datagrams = [bytes([0x80 | dice.randrange(64), PCMU]) + dice.randbytes(dice.randrange(60)) for _ in range(5000)]
    for number, data, _ in plane.send(0, *datagrams):
        assert (number, data[1]) == (1, PCMA)
    counters = plane.counters()
    assert balanced(counters, DROPS)
    assert counters["transcoded"] > 300
    assert counters["transcoded"] == counters["forwarded"]


def test_numbers_and_laws_that_no_packet_has_are_refused() -> None:
    one, _ = bridge()
    assert isinstance(one, InstallFlow)
    plane = LocalPlane()
    for wrong in ((PCMU, PCMA, "g729"), (PCMU, 128, "pcma"), (PCMU, 72, "pcma")):
        with pytest.raises(ValueError):
            plane.do(dataclasses.replace(one, transcode=(wrong,)))
    many = tuple((number, number, "pcma") for number in range(20))
    with pytest.raises(ValueError, match="at most"):
        plane.do(dataclasses.replace(one, transcode=many, payload_types=tuple((n, n) for n in range(30, 43))))
