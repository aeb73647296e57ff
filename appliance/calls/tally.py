"""Counts of this control process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    started: float  # seconds since the epoch
    most: int = 0  # calls at one time
    total: int = 0  # calls ever begun or adopted
    adopted: int = 0
    failed: int = 0
    moved: int = 0
    records_skipped: int = 0
    seconds: float = 0.0  # of calls that ended
    requests: Counter[str] = field(default_factory=Counter)  # by operation
    errors: Counter[str] = field(default_factory=Counter)  # by reason

    def begun(self, now_up: int) -> None:
        self.total += 1
        self.most = max(self.most, now_up)
