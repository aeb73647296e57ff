"""The search for the highest lossless rate, on gateways that are only a formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernels.load.plan import Latency, RunReport, Totals
from tests.bench.generator import Outcome
from tests.bench.search import search


def outcome(rate: float, *, capacity: float, generator: float = 1e9, corrupted: int = 0) -> Outcome:
    sent = round(min(rate, generator) * 2)
    lost = max(0, sent - round(2 * capacity))
    counts = Totals(sent, sent - lost, lost, 0, 0, corrupted, 0, 0, 0, 0, 0, 0)
    return Outcome(rate, RunReport(2.0, 0, 0.0, int(rate > generator), Latency()), counts)


@pytest.mark.parametrize("start", [80_000, 95_000, 100_000, 115_000])
def test_four_probes_are_enough_nearby(start: float) -> None:
    best = search(probe(capacity=100_000), start, probes=4, near=True)
    assert best.outcome is not None and 0.94 * 100_000 <= best.outcome.rate <= 1.002 * 100_000


def test_queues_that_only_grow_are_no_throughput() -> None:
    """A gateway that loses nothing in a short run but is ever later above 100,000/s."""

    def queueing(rate: float) -> tuple[Outcome, int]:
        late = round(rate) if rate > 100_000 else 0
        counts = Totals(round(2 * rate), round(2 * rate), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        return Outcome(rate, RunReport(2.0, 0, 0.0, 0, Latency(), late), counts), 0

    best = search(queueing, 20_000)
    assert best.outcome is not None and 96_000 <= best.outcome.rate <= 100_000


def probe(**behaviour: float) -> Callable[[float], tuple[Outcome, int]]:
    return lambda rate: (outcome(rate, **behaviour), round(1000 * rate))  # type: ignore[arg-type]


@pytest.mark.parametrize("capacity", [900, 19_000, 63_700, 145_900, 900_000])
@pytest.mark.parametrize("start", [20_000, 60_000])
def test_finds_the_capacity(capacity: float, start: float) -> None:
    best = search(probe(capacity=capacity), start)
    assert best.outcome is not None and 0.96 * capacity <= best.outcome.rate <= 1.002 * capacity
    assert best.cpu_ns == pytest.approx(500, rel=0.01) and not best.limited


def test_says_when_the_generator_is_the_limit() -> None:
    best = search(probe(capacity=1e6, generator=200_000), 20_000)
    assert best.limited and best.outcome is not None and best.outcome.rate <= 200_000


@pytest.mark.parametrize(
    ("behaviour", "text"), [({"capacity": 10}, "any rate"), ({"capacity": 1e6, "corrupted": 3}, "3 corr")]
)
def test_reports_instead_of_a_rate(behaviour: dict[str, float], text: str) -> None:
    """A run that loses or corrupts is no figure."""
    best = search(probe(**behaviour), 20_000)
    assert best.outcome is None and text in best.spoilt
