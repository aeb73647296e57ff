"""How often one and the same decision is told: a flood must not write our log; what is not told is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

A_SECOND = 20  # events of one rule in each process
MOST_RULES = 256  # that are remembered; rules are words of ours, this is a belt


@dataclass
class Telling:
    """Of one process. `ask` before telling."""

    _seconds: dict[str, int] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)
    _unsaid: dict[str, int] = field(default_factory=dict)

    def ask(self, rule: str, now: float) -> int | None:
        """None: be silent. A number: tell, and that so many before were not told."""
        second = int(now)
        if self._seconds.get(rule) != second:
            if len(self._seconds) >= MOST_RULES:
                self._seconds.clear()
            self._seconds[rule], self._told[rule] = second, 0
        if self._told[rule] >= A_SECOND:
            self._unsaid[rule] = self._unsaid.get(rule, 0) + 1
            return None
        self._told[rule] += 1
        return self._unsaid.pop(rule, 0)
