"""The last flight we sent, and when it is sent again (RFC 6347 section 4.2.4).

RFC 6347 begins with one second, and so does OpenSSL, whose timer cannot be set. A call is not to wait so long for a
lost datagram, so we begin with a tenth. Repetitions have record numbers of their own: a peer that has seen a record
before it could use it (a ChangeCipherSpec that overtook the message before it) takes no second one of that number.
An encrypted record is sealed again for that (`finished`); where we cannot, `renew` takes the copies that OpenSSL makes
when its own timer is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from appliance.protocols.dtls import records
from appliance.protocols.dtls.finished import FIRST_NUMBER

# After the flight was sent first: a second, then doubling as RFC 6347 wants it, but four seconds at most, because the
# whole handshake has thirty. At 30 % loss both ways one flight in 3,000 is not answered within them. A little after 1,
# 3, 7 and 15 s, when OpenSSL's timer has run out.
REPEATS_S = (0.1, 0.2, 0.4, 1.05, 3.15, 7.25, 11.0, 15.4, 19.0, 23.0, 27.0)
Seal = Callable[[int], bytes]
"""Record number -> the encrypted record of a flight under that."""

SPACING_S = 0.05  # between answers to repetitions of the peer
MOST_ANSWERS = 16


class Flight:
    """Empty at first. `due`: when it is to be sent again; None: never."""

    def __init__(self) -> None:
        self.due: float | None = None
        self._datagrams: tuple[bytes, ...] = ()
        self._next: int | None = None  # number of the next plaintext record; None: OpenSSL's, we have repeated nothing
        self._first = self._last = 0.0
        self._waits: Sequence[float] = ()
        self._waited = 0  # of them
        self._answers = 0
        self._sealing: Callable[[], Seal | None] | None = None
        self._seal: Seal | None = None
        self._sealed = FIRST_NUMBER

    @property
    def sealed(self) -> bool:
        """It has an encrypted record, and we can seal it again."""
        return self._sealer() is not None

    def send(
        self, datagrams: tuple[bytes, ...], now: float, *, repeat: bool,
        sealing: Callable[[], Seal | None] | None = None,
    ) -> tuple[bytes, ...]:  # fmt: skip
        """A new flight, as it goes out. `repeat`: a reply is awaited; else it is only sent again when the peer asks.
        `sealing` is asked, when it is sent again first, who seals its encrypted record."""
        self._datagrams, self._seal, self._sealing = datagrams, None, None
        self._first = now
        self._answers = MOST_ANSWERS
        self._waits, self._waited = REPEATS_S if repeat else (), 0
        self._mark(now)
        out = datagrams if self._next is None else self._numbered()
        self._sealing = sealing
        return out

    def renew(self, datagrams: tuple[bytes, ...]) -> None:
        """The same flight, its encrypted records with new numbers."""
        self._datagrams = datagrams

    def repeat(self, now: float) -> tuple[bytes, ...]:
        """Again, when it is due."""
        return self._out(now) if self.due is not None and now >= self.due else ()

    def answer(self, now: float) -> tuple[bytes, ...]:
        """Again, because the peer repeated what it answers; not for every copy of a burst."""
        if now < self._last + SPACING_S or not self._answers:
            return ()
        self._answers -= 1
        return self._out(now)

    def _out(self, now: float) -> tuple[bytes, ...]:
        self._mark(now)
        if self._next is None:
            sent = (record for datagram in self._datagrams for record in records.records(datagram))
            self._next = max((record.number for record in sent if record.epoch == 0), default=-1) + 1
        return self._numbered()

    def _mark(self, now: float) -> None:
        self._last = now
        while self._waited < len(self._waits) and self._first + self._waits[self._waited] <= now:
            self._waited += 1
        self.due = self._first + self._waits[self._waited] if self._waited < len(self._waits) else None

    def _numbered(self) -> tuple[bytes, ...]:
        """OpenSSL's numbers, or higher ones where those have been used: it knows nothing of our repeating."""
        return tuple(b"".join(self._with_numbers(datagram)) for datagram in self._datagrams)

    def _with_numbers(self, datagram: bytes) -> Iterator[bytes]:
        for record in records.records(datagram):
            if record.epoch == 0:
                number = max(self._next or 0, record.number)
                self._next = number + 1
                record = record.numbered(number)
            elif (seal := self._sealer()) is not None:
                yield seal(self._sealed)
                self._sealed += 1
                continue
            yield record.data

    def _sealer(self) -> Seal | None:
        if self._sealing is not None:
            self._seal, self._sealing = self._sealing(), None
        return self._seal
