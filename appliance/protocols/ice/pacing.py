"""What keeps checks from being a weapon: one clock for all agents of a process, and an allowance for each (row D11)."""

from __future__ import annotations

GLOBAL_TA_S = 0.005  # RFC 8445 section 14.2: between new transactions of all agents together
TA_S = 0.05  # of one agent
FACTOR = 3  # octets sent to addresses that nobody answered from, for each octet that told us of them
FIRST_OCTETS = 1200  # FACTOR times what the smallest description with ICE has beside its candidates


class Pacer:
    """When new checks may be sent: one for the process. Fair: a time that was reserved is nobody else's; and who comes
    late to his own still keeps the distance to whoever sent last."""

    def __init__(self, interval_s: float = GLOBAL_TA_S) -> None:
        self._interval_s, self._next, self._sent = interval_s, 0.0, -interval_s

    def reserve(self, now: float) -> float:
        """When the asker may try to send one check: now or later."""
        at = max(now, self._next)
        self._next = at + self._interval_s
        return at

    def go(self, now: float) -> float:
        """At the reserved time: `now`, and the check is taken for sent; or a later time, to try again."""
        at = self._sent + self._interval_s
        if now < at:
            return at
        self._sent = now
        return now


class Allowance:
    """Octets that an agent may send to addresses that have not answered. A peer that is there answers, and its own
    checks count as well (as RFC 9000 section 8.1 has it); a victim does neither."""

    def __init__(self) -> None:
        self._left = FIRST_OCTETS

    def credit(self, octets: int) -> None:
        """So many octets of candidates, or of authenticated checks, arrived."""
        self._left += FACTOR * octets

    def spend(self, octets: int) -> bool:
        """Whether a datagram of this size may go."""
        if self._left < octets:
            return False
        self._left -= octets
        return True
