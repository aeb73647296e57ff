"""Index estimation (A14, SR-2): the sender's index is found from any packet within half the sequence space."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.protocols.srtp.index import HALF, estimate


@given(st.integers(0, (1 << 47)), st.integers(-HALF + 1, HALF - 1))
def test_nearest_index_is_found(newest: int, distance: int) -> None:
    index = newest + distance
    if index >= 0:
        assert estimate(newest, index & 0xFFFF) == index


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_never_before_the_first_index(newest: int, sequence: int) -> None:
    """ROC 0 has nothing before it: RFC 3711 appendix A would take ROC - 1 modulo 2^32."""
    assert estimate(newest, sequence) >= 0


def test_wraps() -> None:
    assert estimate(0xFFFF, 0) == 0x10000
    assert estimate(0x10000, 0xFFFF) == 0xFFFF
    assert estimate(5, 0xFFFE) == 0xFFFE  # no ROC before 0
