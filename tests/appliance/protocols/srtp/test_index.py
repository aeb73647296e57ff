"""Index estimation (A14, SR-2): the sender's index is found from any packet within half the sequence space."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.srtp.index import HALF, estimate


@given(st.integers(0, (1 << 47)), st.integers(-HALF + 1, HALF - 1))
def test_nearest_index_is_found(newest: int, distance: int) -> None:
    index = newest + distance
    assert estimate(newest, index & 0xFFFF) == index


def test_wraps() -> None:
    assert estimate(0xFFFF, 0) == 0x10000
    assert estimate(0x10000, 0xFFFF) == 0xFFFF
    assert estimate(5, 0xFFFE) == -2  # before the first index: RFC 3711 appendix A would take ROC 2^32 - 1
    assert estimate(0x8000, 0) == 0 and estimate(0, 0x8000) == 0x8000  # exactly half a turn: the same turn
