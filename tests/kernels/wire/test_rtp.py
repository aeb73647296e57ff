"""Classification and length checks: rows A12 (security), A10."""

import struct

import pytest

from kernels.wire import rtp
from kernels.wire.packet import Drop, Kind

pytestmark = pytest.mark.malformed

HEADER = bytes.fromhex("8000000100000000deadbeef")


def expected(first: int) -> Kind:
    ranges = {
        (0, 3): Kind.KIND_STUN,
        (16, 19): Kind.KIND_ZRTP,
        (20, 63): Kind.KIND_DTLS,
        (64, 79): Kind.KIND_TURN,
        (128, 191): Kind.KIND_RTP,
    }
    return next((kind for (low, high), kind in ranges.items() if low <= first <= high), Kind.KIND_UNKNOWN)


def test_first_octet_decides() -> None:
    """A12, RFC 7983: every value of the first octet."""
    assert [rtp.kind(bytes([first, 0]) + bytes(20)) for first in range(256)] == [
        expected(first) for first in range(256)
    ]


def test_rtcp_is_payload_type_64_to_95() -> None:
    """RFC 5761 section 4, whatever the marker bit says."""
    for second in range(256):
        wanted = Kind.KIND_RTCP if 64 <= second & 0x7F <= 95 else Kind.KIND_RTP
        assert rtp.kind(bytes([0x80, second]) + bytes(10)) == wanted


@pytest.mark.parametrize("data", [b"", b"\x80"])
def test_too_short_to_say(data: bytes) -> None:
    assert rtp.kind(data) == Kind.KIND_UNKNOWN


def test_header_of_every_shape() -> None:
    """RFC 3550 sections 5.1, 5.3.1: CC 0..15, with and without extension, at every length."""
    for csrcs in range(16):
        for words in (None, 0, 1, 20):
            extension = b"" if words is None else struct.pack("!HH", 0xBEDE, words) + bytes(4 * words)
            header = bytes([0x80 | csrcs | (0x10 if extension else 0)]) + HEADER[1:] + bytes(4 * csrcs) + extension
            for length in range(len(header)):
                wanted = Drop.DROP_TOO_SHORT if length < 12 else Drop.DROP_MALFORMED
                assert rtp.header_octets(header[:length]) == wanted
            assert rtp.header_octets(header) == len(header)
            assert rtp.header_octets(header + b"payload") == len(header)


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (b"\x40" + HEADER[1:], Drop.DROP_MALFORMED),  # version 1
        (b"\x90" + HEADER[1:] + b"\xbe\xde\xff\xff" + bytes(100), Drop.DROP_MALFORMED),  # extension of 256 KiB
        (b"\x8f" + HEADER[1:] + bytes(59), Drop.DROP_MALFORMED),  # 15 CSRCs do not fit
        (b"\xa0" + HEADER[1:], Drop.DROP_MALFORMED),  # padding of nothing
        (b"\xa0" + HEADER[1:] + b"abc\x05", Drop.DROP_MALFORMED),  # padding longer than the payload
        (b"\xa0" + HEADER[1:] + b"abc\x04", Drop.DROP_NONE),  # nothing but padding
        (HEADER, Drop.DROP_NONE),
    ],
)
def test_lies_about_length(packet: bytes, wanted: Drop) -> None:
    """A10."""
    assert rtp.check_rtp(packet) == wanted


REPORT = struct.pack("!BBHI", 0x80, 200, 6, 1) + bytes(20)


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (REPORT, Drop.DROP_NONE),
        (REPORT + struct.pack("!BBHI", 0x81, 203, 1, 1), Drop.DROP_NONE),  # compound
        (REPORT[:4], Drop.DROP_TOO_SHORT),  # rtcp-short-4
        (REPORT[:-1], Drop.DROP_MALFORMED),
        (REPORT + b"\x81", Drop.DROP_MALFORMED),
        (REPORT + b"\x41\xc9\0\0", Drop.DROP_MALFORMED),  # second part of version 1
        (struct.pack("!BBHI", 0x81, 205, 0xFFFF, 1) + bytes(8), Drop.DROP_MALFORMED),  # rtcp-nack-length-ffff
        (struct.pack("!BBHI", 0xA0, 200, 1, 0x09), Drop.DROP_MALFORMED),  # padding longer than the part
        (b"\xa0\xc9\0\0" + REPORT, Drop.DROP_MALFORMED),  # padding in a part of 4 octets
    ],
)
def test_compound_rtcp(packet: bytes, wanted: Drop) -> None:
    """A10."""
    assert rtp.check_rtcp(packet) == wanted
