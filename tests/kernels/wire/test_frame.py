"""Reading and writing frames (issue 3, "Bad input"): every row, every cut, noise; nothing is read past the frame."""

from __future__ import annotations

import random

import pytest

from kernels.wire import frame
from kernels.wire.packet import Drop
from tests.kernels.guarded import SEED, Exact, Guarded, damaged
from tests.kernels.wire import frame_corpus as corpus

pytestmark = pytest.mark.malformed


def verdict(data: bytes) -> object:
    """Of the reader, at the end and at the beginning of a page, and in a block of just the size."""
    guarded = Guarded(8192)
    found = frame.read(guarded.tail(data))
    assert found == frame.read(guarded.head(data))
    with Exact(data) as view:
        assert found == frame.read(view)
    return found


@pytest.mark.parametrize("row", corpus.rows(), ids=lambda row: row.name)
def test_rows(row: corpus.Row) -> None:
    found = verdict(row.frame)
    if isinstance(row.reads, str):
        assert found == Drop[row.reads]
        return
    assert isinstance(found, tuple)
    source, destination, vlans, data = found
    port = 5060 if row.name == "foreign port" else corpus.PORT
    assert (source, destination) in (
        ((corpus.FAR4, 4000), (corpus.HERE4, port)),
        ((corpus.FAR6, 4000), (corpus.HERE6, port)),
    )
    assert data == (bytes(4000) if row.name == "jumbo" else corpus.DATA)
    assert vlans == {"one tag": (100,), "two tags": (100, 200)}.get(row.name, ())


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("vlans", [(), (5,), (5, 6)])
def test_cut_at_every_octet(family: int, vlans: tuple[int, ...]) -> None:
    whole = corpus.good(family, *vlans)
    for length in range(1, len(whole)):
        assert verdict(whole[:length]) == Drop.DROP_FRAME, length
    assert frame.read(b"") == Drop.DROP_FRAME


def test_damaged_frames() -> None:
    """Whatever passes has its datagram inside the frame and a checksum that fits (or none, or one left to a NIC)."""
    guarded = Guarded()
    for family in (4, 6):
        for data in damaged(corpus.good(family, 9), 5_000, SEED + family):
            found = frame.read(guarded.tail(data))
            if isinstance(found, tuple):
                assert found[3] in data


@pytest.mark.parametrize("vlans", [(), (100,), (100, 200)])
@pytest.mark.parametrize(("local", "to"), [(corpus.HERE4, corpus.FAR4), (corpus.HERE6, corpus.FAR6)])
def test_what_is_written_is_right(vlans: tuple[int, ...], local: str, to: str) -> None:
    """Lengths 0 to 200 and longest, any TOS octet: read back, and checksums by another implementation (RFC 1071)."""
    chance = random.Random(SEED)
    for length in (*range(201), 1400):
        data = chance.randbytes(length)
        tos = chance.randrange(256)
        made = frame.write(corpus.MACS[6:], corpus.MACS[:6], (local, 30_000), (to, 5004), data, vlans, tos)
        assert made[:12] == corpus.MACS
        assert frame.read(made) == ((local, 30_000), (to, 5004), vlans, data)
        packet = made[14 + 4 * len(vlans) :]
        assert tos == (int.from_bytes(packet[:2]) >> 4 & 0xFF if ":" in local else packet[1])
        if ":" in local:
            pseudo, segment = packet[8:40], packet[40:]
        else:
            pseudo, segment = packet[12:20], packet[20:]
            assert corpus.ones(packet[:20]) == 0xFFFF
        assert segment[6:8] != b"\0\0"
        assert corpus.ones(pseudo + b"\0\x11" + len(segment).to_bytes(2) + segment) == 0xFFFF
