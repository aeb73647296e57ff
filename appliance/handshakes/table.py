"""Every handshake of one process: legs by key, cookies, and whose time has come."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count

from appliance.calls.media import Address, DtlsMedia, Fingerprint
from appliance.handshakes.leg import Entry, Leg, Told
from appliance.protocols.dtls.cookie import CookieFront
from appliance.protocols.dtls.outputs import Failed, KeysReady

Send = Callable[[int, Address, bytes], None]
"""(key, to, datagram)"""
Event = Callable[[int, Address, KeysReady | Failed], None]
"""(key, source, what)"""

HALF_OPEN = 2048  # associations of a process, 90 KiB each; signalled sources are let in beyond it


class Table:
    """`secret`: of the cookies. `now`: seconds of a monotonic clock, which processes of one secret share."""

    def __init__(self, secret: bytes, send: Send, event: Event, mtu: int = 1200) -> None:
        self._front = CookieFront(secret)
        self._send, self._event, self._mtu = send, event, mtu
        self._legs: dict[int, Leg] = {}
        self._half_open = 0
        self._wakes: list[tuple[float, int, int, Entry]] = []
        self._number = count()

    def open(self, key: int, wish: DtlsMedia, cookie: bool, remote: Address | None) -> None:
        self.close(key)
        self._legs[key] = Leg(wish, cookie=cookie, remote=remote, mtu=self._mtu)

    def close(self, key: int) -> None:
        leg = self._legs.pop(key, None)
        if leg is not None:
            self._half_open -= leg.half_open

    def expect(self, key: int, fingerprints: Iterable[Fingerprint], remote: Address | None, now: float) -> None:
        self._with(key, lambda leg: leg.expect(fingerprints, remote, now))

    def go(self, key: int, source: Address, now: float) -> None:
        self._with(key, lambda leg: leg.go(source, now))

    def datagram(self, key: int, source: Address, data: bytes, now: float) -> None:
        room = self._half_open < HALF_OPEN
        self._with(key, lambda leg: leg.datagram(source, data, self._front, now, room=room))

    def timeout(self, now: float) -> None:
        """Whatever is due; calling it early does no harm."""
        while self._wakes and self._wakes[0][0] <= now:
            _, _, key, entry = heapq.heappop(self._wakes)
            entry.wake = None
            leg = self._legs.get(key)
            if leg is not None and entry in leg.entries:
                self._with(key, partial(Leg.timeout, entry=entry, now=now))

    @property
    def next_timeout(self) -> float | None:
        return self._wakes[0][0] if self._wakes else None

    @property
    def half_open(self) -> int:
        return self._half_open

    def _with(self, key: int, what: Callable[[Leg], Told]) -> None:
        """Do something to a leg, and what follows of it. Callbacks come last: they may call us."""
        leg = self._legs.get(key)
        if leg is None:
            return
        before = leg.half_open
        told = what(leg)
        self._half_open += leg.half_open - before
        for entry in leg.entries:
            self._wake(key, entry)
        for address, outputs in told:
            if isinstance(outputs.event, KeysReady):  # the peer's media may follow our last flight at once
                self._event(key, address, outputs.event)
            for data in outputs.datagrams:
                self._send(key, address, data)
            if isinstance(outputs.event, Failed):
                self._event(key, address, outputs.event)

    def _wake(self, key: int, entry: Entry) -> None:
        when = entry.association.next_timeout
        if when is not None and (entry.wake is None or when < entry.wake):
            entry.wake = when
            heapq.heappush(self._wakes, (when, next(self._number), key, entry))
