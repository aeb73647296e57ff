"""The 48-bit packet index from the 16-bit sequence number (RFC 3711 section 3.3.1 and appendix A)."""

from __future__ import annotations

TURN = 1 << 16  # packets of one turn of the sequence number
HALF = TURN >> 1


def estimate(newest: int, sequence: int) -> int:
    """The index nearest to `newest` that ends in `sequence`; exactly half a turn away stays in the same turn.

    Negative before the first turn; beyond 2^48 - 1 after the last, when no master key may be used any more."""
    roc, last = newest >> 16, newest & 0xFFFF
    if sequence - last > HALF:
        roc -= 1
    elif last - sequence > HALF:
        roc += 1
    return roc * TURN + sequence
