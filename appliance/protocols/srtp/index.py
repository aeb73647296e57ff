"""The 48-bit packet index from the 16-bit sequence number (RFC 3711 section 3.3.1 and appendix A)."""

from __future__ import annotations

HALF = 1 << 15


def estimate(newest: int, sequence: int) -> int:
    """The index nearest to `newest` that ends in `sequence`; never before ROC 0.

    May exceed 2^48 - 1 when the ROC is at its end: the caller's master key is used up then."""
    roc, last = newest >> 16, newest & 0xFFFF
    if sequence - last > HALF and roc > 0:
        roc -= 1
    elif last - sequence > HALF:
        roc += 1
    return roc << 16 | sequence
