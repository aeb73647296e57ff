"""Who is banned until when, in bounded room: when it is full, the ban that ends first gives way. Pure."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

MOST_BANS = 65_536  # MOST_BANS of bpf/banned.bpf.h, there for each family
FOREVER = math.inf

Network = IPv4Network | IPv6Network


class BanTable:
    """Networks and when their ban ends (any clock that goes up; FOREVER: never)."""

    def __init__(self, most: int = MOST_BANS) -> None:
        self.most = most
        self.given_way = 0  # bans that ended early for want of room
        self._until: dict[Network, tuple[float, int]] = {}
        self._order: list[tuple[float, int, Network]] = []  # a heap; entries of bans that changed are passed over
        self._serial = itertools.count()

    def put(self, network: Network, until: float) -> Network | None:
        """Ban, or set a ban's end anew. Who gives way: the one that ends first, the oldest of equals; it may be the
        new one itself."""
        entry = (until, next(self._serial))
        self._until[network] = entry
        heapq.heappush(self._order, (*entry, network))
        loser = self._first() if len(self._until) > self.most else None
        if loser is not None:
            self.remove(loser)
            self.given_way += 1
        elif len(self._order) > 2 * len(self._until) + 64:
            self._order = [(*entry, network) for network, entry in self._until.items()]
            heapq.heapify(self._order)
        return loser

    def remove(self, network: Network) -> bool:
        """Was it there?"""
        return self._until.pop(network, None) is not None

    def expired(self, now: float, most: int = 1000) -> list[Network]:
        """Take out bans whose time is over, the first to end first."""
        found: list[Network] = []
        while len(found) < most and (network := self._first()) is not None and self._until[network][0] <= now:
            self.remove(network)
            found.append(network)
        return found

    def until(self, network: Network) -> float:
        """KeyError: not banned."""
        return self._until[network][0]

    def __contains__(self, network: object) -> bool:
        return network in self._until

    def __iter__(self) -> Iterator[Network]:
        return iter(self._until)

    def __len__(self) -> int:
        return len(self._until)

    def _first(self) -> Network | None:
        while self._order:
            until, serial, network = self._order[0]
            if self._until.get(network) == (until, serial):
                return network
            heapq.heappop(self._order)
        return None
