"""When calls should move because one worker is much busier than another, and how many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.placement.placer import Load

SPREAD = 0.25  # shares of a core between the busiest and the idlest: below it nothing moves
PATIENCE = 10  # looks (one a second) that an imbalance must last; after a move the window must see its effect first
MOST = 50  # calls at a time


@dataclass(frozen=True, slots=True)
class Shift:
    """Move so many calls."""

    source: int
    to: int
    calls: int


class Balance:
    """`look` about once a second."""

    def __init__(self) -> None:
        self._pair: tuple[int, int] | None = None
        self._looks = 0

    def look(self, loads: Sequence[Load]) -> Shift | None:
        """What to do about the imbalance, once it has lasted. Half of the difference, by the calls' average weight."""
        able = [load for load in loads if load.available]
        if len(able) < 2:
            self._forget()
            return None
        busiest, idlest = max(able, key=lambda load: load.busy), min(able, key=lambda load: load.busy)
        if busiest.busy - idlest.busy < SPREAD or not busiest.calls:
            self._forget()
            return None
        pair = busiest.worker, idlest.worker
        self._looks = self._looks + 1 if pair == self._pair else 1
        self._pair = pair
        if self._looks < PATIENCE:
            return None
        self._forget()
        calls = int(busiest.calls * (busiest.busy - idlest.busy) / 2 / busiest.busy)
        return Shift(busiest.worker, idlest.worker, min(calls, MOST)) if calls else None

    def _forget(self) -> None:
        self._pair, self._looks = None, 0
