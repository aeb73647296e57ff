"""How often each NG client asked for what, how long it took, and rates of the last whole minute: what rtpengine's
`statistics` tells of its proxies."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_PROXIES = 1024
INTERVAL_S = 60.0


@dataclass(slots=True)
class Proxy:
    """One client host."""

    counts: Counter[str] = field(default_factory=Counter)  # by command
    seconds: Counter[str] = field(default_factory=Counter)
    errors: int = 0


@dataclass(slots=True)
class Delays:
    """Of one command within one interval, seconds."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def add(self, seconds: float) -> None:
        self.least = seconds if not self.count else min(self.least, seconds)
        self.most = max(self.most, seconds)
        self.count, self.total = self.count + 1, self.total + seconds

    @property
    def average(self) -> float:
        return self.total / self.count if self.count else 0.0


class NgTally:
    """`now` is CLOCK_MONOTONIC in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.proxies: dict[str, Proxy] = {}
        self._running: dict[str, Delays] = {}
        self._last: dict[str, Delays] = {}
        self._since = now()

    def note(self, host: str, command: str, seconds: float, *, error: bool) -> None:
        """One request that was carried out."""
        proxy = self.proxy(host)
        proxy.counts[command] += 1
        proxy.seconds[command] += seconds  # type: ignore[assignment]  # Counter adds fractions as well
        proxy.errors += error
        self._turn()
        delays = self._running.get(command)
        if delays is None:
            delays = self._running[command] = Delays()
        delays.add(seconds)

    def proxy(self, host: str) -> Proxy:
        """A host beyond MOST_PROXIES is counted with the others ("")."""
        if host not in self.proxies and len(self.proxies) >= MOST_PROXIES:
            host = ""
        found = self.proxies.get(host)
        if found is None:
            found = self.proxies[host] = Proxy()
        return found

    def interval(self, command: str) -> Delays:
        """The last whole minute."""
        self._turn()
        return self._last.get(command, Delays())

    def _turn(self) -> None:
        passed = self._now() - self._since
        if passed < INTERVAL_S:
            return
        self._last = self._running if passed < 2 * INTERVAL_S else {}
        self._running, self._since = {}, self._now()
