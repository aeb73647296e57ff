"""The last flight we sent, and when it is sent again (RFC 6347 section 4.2.4).

RFC 6347 begins with one second, and so does OpenSSL, whose timer cannot be set. A call is not to wait so long for a
lost datagram, so the same datagrams are sent again earlier: the peer's replay protection drops those that it has."""

from __future__ import annotations

from collections.abc import Sequence

EARLY_S = (0.1, 0.2, 0.4)  # after the flight was sent first
LATE_S = (1.0, 3.0, 7.0, 15.0)  # RFC 6347: one second, doubling
SPACING_S = 0.05  # between answers to repetitions of the peer
MOST_ANSWERS = 16


class Flight:
    """Empty at first. `due`: when it is to be sent again; None: never."""

    def __init__(self) -> None:
        self.datagrams: tuple[bytes, ...] = ()
        self.due: float | None = None
        self._first = self._last = 0.0
        self._waits: Sequence[float] = ()
        self._answers = 0

    def sent(self, datagrams: tuple[bytes, ...], now: float, *, repeat: bool) -> None:
        """A new flight. `repeat`: a reply to it is awaited; else it is sent again only when the peer repeats itself."""
        self.datagrams = datagrams
        self._first = self._last = now
        self._answers = MOST_ANSWERS
        self._waits = (*EARLY_S, *LATE_S) if repeat else ()
        self._plan()

    def repeat(self, now: float) -> tuple[bytes, ...]:
        """Its datagrams again when they are due."""
        if self.due is None or now < self.due:
            return ()
        self._waits = [wait for wait in self._waits if self._first + wait > now]
        self._last = now
        self._plan()
        return self.datagrams

    def late(self, now: float) -> bool:
        """The early repetitions are through: the peer may need records that are new to its replay protection."""
        return now >= self._first + LATE_S[0]

    def answer(self, now: float) -> tuple[bytes, ...]:
        """Its datagrams again because the peer repeated what they answer; not for every copy of a burst."""
        if now < self._last + SPACING_S or not self._answers:
            return ()
        self._answers -= 1
        self._last = now
        return self.datagrams

    def _plan(self) -> None:
        self.due = self._first + self._waits[0] if self._waits else None
