"""The classifier and the header checks against memory that ends with the datagram (row A10)."""

from __future__ import annotations

import random

import pytest

from kernels.wire.packet import Drop, Kind
from kernels.wire.rtp import check_rtcp, check_rtp, header_octets, kind
from tests.kernels.guarded import INPUTS, SEED, Exact, Guarded, lies, noise

pytestmark = pytest.mark.malformed


def judge(view: memoryview) -> tuple[Kind, int | Drop, Drop, Drop]:
    return kind(view), header_octets(view), check_rtp(view), check_rtcp(view)


def model_rtp(data: bytes) -> Drop:
    """What check_rtp must say, from the text of RFC 3550 section 5.1."""
    if len(data) < 12:
        return Drop.DROP_TOO_SHORT
    at = 12 + 4 * (data[0] & 15)
    if data[0] >> 6 == 2 and data[0] & 0x10:
        at = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4]) if at + 4 <= len(data) else len(data) + 1
    padding = data[-1] if data[0] & 0x20 else 0
    fits = data[0] >> 6 == 2 and at <= len(data) and padding <= len(data) - at
    return Drop.DROP_NONE if fits and not (data[0] & 0x20 and at == len(data)) else Drop.DROP_MALFORMED


@pytest.mark.parametrize("length", range(201))
def test_every_length_with_lies(length: int) -> None:
    """CC=15, X=1 with 0xFFFF words, P=1 with more padding than packet, wrong versions; nothing is read beyond."""
    guarded, chance = Guarded(), random.Random(SEED + length)
    for data in lies(length, chance):
        verdicts = judge(guarded.tail(data))
        assert verdicts == judge(guarded.head(data))
        if data:
            with Exact(data) as view:
                assert verdicts == judge(view)
        assert verdicts[2] == model_rtp(data)
        if verdicts[1] is not Drop.DROP_TOO_SHORT and not isinstance(verdicts[1], Drop):
            assert 12 <= verdicts[1] <= length


def test_noise() -> None:
    """10^5 seeded datagrams: every verdict is the model's; few are RTP that anybody may forward."""
    guarded = Guarded()
    for data in noise(INPUTS):
        view = guarded.tail(data)
        assert check_rtp(view) == model_rtp(data), data.hex()
        compound = check_rtcp(view)
        if compound == Drop.DROP_NONE:
            assert len(data) % 4 == 0
        kind(view)
