"""Consent to send on one pair (RFC 7675 section 5.1): asked every 4 to 6 s, lost 30 s after the last valid answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

INTERVAL_S = 5.0
EXPIRES_S = 30.0
DOUBT_S = 10.0  # without an answer: two questions at least are lost
MOST_OPEN = 10  # questions an answer to which still counts: those of 30 s


class Consent:
    """Of one pair. `random(octets)`: for transaction ids, and for the intervals."""

    def __init__(self, random: Callable[[int], bytes], now: float) -> None:
        self._random = random
        self._open: deque[bytes] = deque(maxlen=MOST_OPEN)
        self.expires = now + EXPIRES_S
        self.ask_at = now + self._interval()
        self.lost = False

    @property
    def due(self) -> float:
        """When to look again."""
        return min(self.ask_at, self.expires)

    def advance(self, now: float) -> bytes | None:
        """Transaction id of a check to be sent now, if any. Each is sent once: the next one is its repetition."""
        if self.lost or now >= self.expires:
            self.lost = True
            return None
        if now < self.ask_at:
            return None
        self.ask_at = now + self._interval()
        transaction = self._random(12)
        self._open.append(transaction)
        return transaction

    def doubtful(self, now: float) -> bool:
        """Nobody has answered for a while."""
        return now >= self.expires - EXPIRES_S + DOUBT_S

    def asked(self, transaction: bytes) -> bool:
        """Whether this is one of ours; the caller then authenticates the answer."""
        return transaction in self._open

    def given(self, transaction: bytes, now: float) -> None:
        """A valid success response. One that comes after the end restores nothing: only a restart does."""
        if self.lost or now >= self.expires or transaction not in self._open:
            return
        self._open.remove(transaction)
        self.expires = now + EXPIRES_S

    def _interval(self) -> float:
        """0.8 to 1.2 of five seconds."""
        return INTERVAL_S * (0.8 + 0.4 * int.from_bytes(self._random(2), "big") / 65535)
