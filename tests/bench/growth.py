"""Table (d): what a packet costs as calls grow, at one packet rate that is high for this gateway."""

from __future__ import annotations

from pathlib import Path

from tests.bench.places import Loopback, Place, no_veth, veth
from tests.bench.plan import RTP_SDES, Plan
from tests.bench.results import Cell, Chart, Table, middle, over
from tests.bench.rounds import representative
from tests.bench.search import LOSS, describe
from tests.bench.session import FAILURES, Session, session
from tests.bench.subjects import port_kinds

LOAD = 0.6  # of the lossless rate with the second smallest number of calls


def table(plan: Plan, only: list[str], folder: Path) -> Table:
    """CPU ns per packet, a row per port back end, a column per number of calls."""
    columns = ("gateway", "packets/s", *(f"{calls:,} calls" for calls in plan.growth_calls),
               f"{plan.growth_calls[-1]:,} over {plan.growth_calls[1]:,}")  # fmt: skip
    made = Table("growth", "CPU ns per packet as calls grow, at an equal packet rate", columns)
    kinds = representative([kind for kind in port_kinds() if kind in only or "srtpgw" in only])
    if no_veth():
        for kind in [kind for kind in kinds if kind.startswith("udp")]:
            _row(made, plan, Loopback(folder), kind, folder)
    else:
        with veth(folder, plan.gateway_cpu) as place:
            for kind in kinds:
                _row(made, plan, place, kind, folder)
    made.charts = [Chart("CPU per packet as calls grow", [f"{calls}" for calls in plan.growth_calls],
                         {name: [value or 0.0 for value in costs] for name, costs in made.raw.items()}, "ns",
                         over="calls")]  # fmt: skip
    return made


def _row(made: Table, plan: Plan, place: Place, kind: str, folder: Path) -> None:
    """One gateway; calls of the sizes before stay up, silent."""
    room = folder / f"growth-{kind}"
    room.mkdir(parents=True, exist_ok=True)
    costs: dict[int, float | None] = dict.fromkeys(plan.growth_calls)
    rate = plan.start_rate
    try:
        with session(plan, place, RTP_SDES, kind, room, sum(plan.growth_calls) + plan.growth_calls[1]) as one:
            one.call(plan.growth_calls[1])
            best = one.best(plan.start_rate, plan.growth_probes)
            if best.outcome is None:
                made.faults.append(f"{kind}: {best.spoilt}")
                return
            rate = best.outcome.rate * LOAD if plan.search else rate
            for calls in plan.growth_calls:
                fitting = one.call(calls)
                if fitting < calls:
                    made.notes.append(
                        f"{kind}: {fitting:,} calls stand for {calls:,}: more found no room (descriptors)"
                    )
                one.warm()
                costs[calls] = _cost(made, plan, one, rate)
    except FAILURES as error:
        made.faults.append(f"{kind}: {type(error).__name__}: {str(error)[:300]}")
    ratio = over(costs[plan.growth_calls[-1]], costs[plan.growth_calls[1]])
    cells: list[Cell] = [None if cost is None else f"{cost:,.0f}" for cost in costs.values()]
    made.rows.append((kind, f"{rate:,.0f}", *cells, None if ratio is None else f"{ratio:.2f}"))
    made.raw[kind] = list(costs.values())
    if ratio is not None:  # the worse of the back ends
        made.figures["growth"] = max(ratio, made.figures.get("growth", 0.0))


def _cost(made: Table, plan: Plan, one: Session, rate: float) -> float | None:
    """Median over the runs; a run that lost or corrupted packets is none."""
    found = []
    for _ in range(plan.growth_runs):
        outcome, spent = one.run(rate, plan.growth_s)
        if outcome.loss >= LOSS or outcome.wrong:
            made.faults.append(f"{one.subject.name}, {len(one.streams) // 2} calls: {describe(outcome)}")
        else:
            found.append(spent / max(outcome.totals.received, 1))
    return middle(found)
