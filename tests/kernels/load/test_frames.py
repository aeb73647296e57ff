"""What the generator's own headers and checks are worth: against Python's struct and a checksum of its own."""

from __future__ import annotations

import socket
import struct

import pytest

from kernels.load.framing import read, write

pytestmark = pytest.mark.malformed
A, B = "10.1.2.3", "192.168.200.254"


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(ip: bytes, octets: int) -> bytes:
    return ip[12:20] + struct.pack(">BBH", 0, 17, octets)


@pytest.mark.parametrize("payload", [b"", b"x", b"ab", b"abc", bytes(range(256)) * 4 + b"\xff"], ids=len)
def test_headers(payload: bytes) -> None:
    frame = write(bytes(range(12)), A, B, 4000, 65535, payload)
    assert frame[:14] == bytes(range(12)) + b"\x08\x00" and len(frame) == 42 + len(payload)
    ip, udp = frame[14:34], frame[34:]
    assert checksum(ip) == 0 and ip[0] == 0x45 and struct.unpack(">H", ip[2:4])[0] == 28 + len(payload)
    assert (socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]), ip[9]) == (A, B, 17)
    assert struct.unpack(">HHH", udp[:6]) == (4000, 65535, 8 + len(payload)) and udp[8:] == payload
    assert udp[6:8] != b"\0\0" and checksum(pseudo(ip, len(udp)) + udp) == 0
    assert read(frame) == (payload if payload else None)  # nothing in it is nothing for us


@pytest.mark.parametrize("place", [12, 13, 14, 16, 17, 20, 22, 23, 24, 26, 33, 34, 38, 39, 40, 42, 60])
def test_one_wrong_bit_is_noticed(place: int) -> None:
    frame = write(bytes(12), A, B, 4000, 5000, bytes(range(160)))
    assert read(frame[:place] + bytes([frame[place] ^ 4]) + frame[place + 1 :]) is None


@pytest.mark.parametrize("length", range(202))
def test_cut_frames(length: int) -> None:
    assert read(write(bytes(12), A, B, 4000, 5000, bytes(160))[:length]) is None


def test_checksums_that_are_as_good() -> None:
    """None at all, and the pseudo header's, which a kernel leaves for the card to finish."""
    frame = bytearray(write(bytes(12), A, B, 4000, 5000, b"hello"))
    for value in (0, ~checksum(pseudo(bytes(frame[14:34]), 13)) & 0xFFFF):
        frame[40:42] = struct.pack(">H", value)
        assert read(bytes(frame)) == b"hello"


def test_padding_behind_a_short_frame_is_not_payload() -> None:
    assert read(write(bytes(12), A, B, 4000, 5000, b"hi") + bytes(16)) == b"hi"
