"""Table (c): latency that the gateway adds, at half of its own lossless rate."""

from __future__ import annotations

from tests.bench.results import Chart, Table, middle, over
from tests.bench.rounds import Measured, Rounds
from tests.bench.subjects import REFERENCE

COLUMNS = ("place", "call", "gateway", "at packets/s", "p50 us", "p99 us", "p99.9 us", "p99 to rtpengine")


def table(rounds: Rounds) -> Table:
    made = Table("latency", "from the sender's write to the receiver's read, at half of the own lossless rate", COLUMNS)
    for one in rounds.measured:
        reference = rounds.of(one.place, one.scenario, REFERENCE)
        ratio = over(middle(one.p99_us), middle(reference.p99_us)) if reference and one is not reference else None
        made.rows.append((
            one.place, one.scenario, one.subject, *(_number(value) for value in _values(one)),
            None if ratio is None else f"{ratio:.2f}",
        ))  # fmt: skip
    made.figures = _figures(rounds)
    labels = [f"{one.subject}\n{one.scenario}\n{one.place}" for one in rounds.measured]
    parts = ("p50_us", "p99_us", "p999_us")
    series = {name: [middle(getattr(one, name)) or 0.0 for one in rounds.measured] for name in parts}
    made.charts = [Chart("added latency at half of the own rate", labels, series, "us")]
    return made


def _values(one: Measured) -> tuple[float | None, ...]:
    rate = middle(one.packets_per_s)
    return None if rate is None else rate / 2, middle(one.p50_us), middle(one.p99_us), middle(one.p999_us)


def _figures(rounds: Rounds) -> dict[str, float]:
    """The lowest p99 of our port back ends in the first scenario."""
    found: dict[str, float] = {}
    if not rounds.measured:
        return found
    first = rounds.measured[0]
    ours = [middle(one.p99_us) for one in rounds.measured
            if (one.place, one.scenario) == (first.place, first.scenario) and one.subject != REFERENCE]  # fmt: skip
    known = [value for value in ours if value is not None]
    reference = rounds.of(first.place, first.scenario, REFERENCE)
    if known:
        found["latency_p99"] = min(known)
        ratio = over(min(known), middle(reference.p99_us)) if reference else None
        if ratio is not None:
            found["latency_ratio"] = ratio
    return found


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"
