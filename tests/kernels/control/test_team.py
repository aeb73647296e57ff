"""When a lost worker is started again."""

from __future__ import annotations

from kernels.control.team import LONGEST_WAIT_NS, backoff_ns


def test_backoff() -> None:
    """The first is immediate (F2: a gap of at most 100 ms); a crash loop slows down and stays bounded."""
    waits = [backoff_ns(lives) for lives in range(40)]
    assert waits[:5] == [0, 0, 100_000_000, 200_000_000, 400_000_000]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_NS
