"""The highest packet rate that a gateway forwards with less than 0.1 % loss, in few runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernels.load.plan import LATE_MS
from tests.bench.generator import Outcome

LOSS = 0.001
LATE = 0.01  # of the packets: short runs would take what only fills queues for throughput
LOWEST = 100.0  # packets/s
PROBES = 18  # most runs of a search: bounds its time
SHRINK, GROW, NEAR, FINE = 2.0, 1.5, 1.12, 1.03


@dataclass(frozen=True, slots=True)
class Best:
    """What a search ended with. Without `outcome` there is no rate, and `spoilt` says why."""

    outcome: Outcome | None
    cpu_ns: float  # per packet, at that outcome
    spoilt: str = ""
    limited: bool = False  # the generator was the limit: the true rate is higher


def search(
    probe: Callable[[float], tuple[Outcome, int]], start: float, ceiling: float = 2e6, probes: int = PROBES,
    *, near: bool = False,
) -> Best:  # fmt: skip
    """Grow from `start` until packets are lost (shrink when they are at once), then halve the gap to 3 %. near: the
    start is thought to be close, so steps are small."""
    good: tuple[Outcome, int] | None = None
    low, high, rate = 0.0, ceiling, start
    for _ in range(probes):
        outcome, cpu = probe(rate)
        if outcome.wrong:
            return Best(None, 0.0, spoilt=describe(outcome))
        if outcome.generator_limited and passes(outcome):
            fastest = good if good and good[0].rate > outcome.rate else (outcome, cpu)
            return _best(fastest, limited=True)
        if passes(outcome):
            good, low = (outcome, cpu), rate
        else:
            high = min(high, rate)
        if low and high / low <= FINE:
            break
        rate = _next(low, high, ceiling, near)
        if rate < LOWEST:
            return Best(None, 0.0, spoilt="loses packets at any rate")
    return _best(good) if good else Best(None, 0.0, spoilt="loses packets at any rate")


def passes(outcome: Outcome) -> bool:
    """Nearly everything arrived, and in time."""
    return outcome.loss < LOSS and outcome.summary.late < LATE * max(outcome.totals.sent, 1)


def _next(low: float, high: float, ceiling: float, near: bool) -> float:
    """Grow while nothing was lost yet, else the geometric middle; shrink while nothing passed yet."""
    if not low:
        return high / (NEAR if near else SHRINK)
    step = NEAR if near else GROW
    return low * step if high >= ceiling else min(low * step, (low * high) ** 0.5)


def describe(outcome: Outcome) -> str:
    sums = outcome.totals
    return (
        f"at {outcome.rate:,.0f}/s of {sums.sent}: {sums.lost} lost, {sums.corrupted} corrupted, "
        f"{sums.header_changed} headers changed, {sums.misrouted} misrouted, {sums.duplicated} duplicated, "
        f"{outcome.summary.late} later than {LATE_MS} ms"
    )


def _best(good: tuple[Outcome, int], *, limited: bool = False) -> Best:
    outcome, cpu = good
    return Best(outcome, cpu / max(outcome.totals.received, 1), limited=limited)
