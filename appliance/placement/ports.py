"""UDP ports of one worker on one interface: RTP even, RTCP one above (RFC 3550 section 11), not re-used soon.

A port that was freed rests: late packets of the old call must not reach the new one. While others are free it
waits its turn in a queue (first in, first out); when there are none it is given only after `rest_s`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable

from appliance.errors import NoCapacity


class PortAllocator:
    """Pairs (even, even + 1) and single ports out of one range. `now` is CLOCK_MONOTONIC in seconds."""

    def __init__(self, ports: range, rest_s: float = 1.0, busy: Collection[int] = ()) -> None:
        """`busy` ports belong to other programs; a pair with one of them is never given away."""
        first, last = ports.start + ports.start % 2, ports.stop - 1
        self._evens = frozenset(even for even in range(first, last, 2) if even not in busy and even + 1 not in busy)
        self.capacity = 2 * len(self._evens)
        self._rest_s = rest_s
        self._pairs = OrderedDict.fromkeys(sorted(self._evens))  # never used yet
        self._resting: deque[tuple[float, int]] = deque()
        self._halves: deque[tuple[float, int]] = deque()  # the other half of a pair that was split
        self._used: set[int] = set()

    @property
    def used(self) -> int:
        return len(self._used)

    @property
    def free(self) -> int:
        return self.capacity - len(self._used)

    def take_pair(self, now: float) -> int:
        """The even port of a pair. NoCapacity."""
        if self._pairs:
            port = self._pairs.popitem(last=False)[0]
        elif self._resting and self._resting[0][0] + self._rest_s <= now:
            port = self._resting.popleft()[1]
        else:
            raise NoCapacity("no port pair is free")
        self._used.update((port, port + 1))
        return port

    def take_single(self, now: float) -> int:
        """One port for a leg with rtcp-mux; the other half of a split pair first. NoCapacity."""
        if self._halves and self._halves[0][0] <= now:
            port = self._halves.popleft()[1]
            self._used.add(port)
            return port
        port = self.take_pair(now)
        self._used.remove(port + 1)
        self._halves.appendleft((now, port + 1))
        return port

    def give_back(self, ports: Iterable[int], now: float) -> None:
        """Free ports; those that are not in use are passed over. A pair is whole again when both halves are free."""
        for port in sorted(set(ports)):
            if port not in self._used:
                continue
            self._used.remove(port)
            other = port ^ 1
            if other in self._used:
                self._halves.append((now + self._rest_s, port))
            else:
                self._drop_half(other)
                self._resting.append((now, port & ~1))

    def adopt(self, ports: Iterable[int]) -> None:
        """Mark ports as used that an earlier control process gave away. NoCapacity when one is taken or not ours."""
        wanted = set(ports)
        for port in wanted:
            if port in self._used or port & ~1 not in self._evens:
                raise NoCapacity(f"port {port} cannot be taken over")
        for even in {port & ~1 for port in wanted}:
            pair = {even, even + 1}
            if pair & self._used:
                self._drop_half(next(iter(pair - self._used)))
            else:
                del self._pairs[even]
                for half in pair - wanted:
                    self._halves.append((0.0, half))
            self._used |= pair & wanted

    def _drop_half(self, port: int) -> None:
        self._halves = deque(item for item in self._halves if item[1] != port)
