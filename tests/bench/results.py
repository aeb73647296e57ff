"""What a table of the bench is, before anybody prints or plots it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | float | None  # None: not measured


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot: groups of bars (`labels` by series), or lines over numbers when `over` names the abscissa."""

    title: str
    labels: Sequence[str]
    series: dict[str, list[float]]
    unit: str
    over: str = ""


@dataclass
class Table:
    """One subject matter of the bench. `figures`: values for the rows of tests.bench.figures; `faults`: runs that lost
    or corrupted packets where they should not have, told instead of a rate; `raw`: every round, for the JSON file."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)


def middle(values: Sequence[float]) -> float | None:
    """Median of the rounds; None without any."""
    return statistics.median(values) if values else None


def spread(values: Sequence[float]) -> float | None:
    """How far the rounds lie apart, over their median: the noise of a figure."""
    centre = middle(values)
    return (max(values) - min(values)) / centre if centre else None


def over(one: float | None, other: float | None) -> float | None:
    """`one` in multiples of `other`."""
    return one / other if one is not None and other else None
