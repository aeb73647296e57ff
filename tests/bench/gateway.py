"""Table (b): packets/s through one core without loss and CPU per packet, every port back end beside rtpengine."""

from __future__ import annotations

from tests.bench.results import Chart, Table, middle, over, spread
from tests.bench.rounds import Measured, Rounds
from tests.bench.subjects import REFERENCE

COLUMNS = ("place", "call", "gateway", "packets/s, < 0.1 % lost", "to rtpengine", "CPU ns a packet", "to rtpengine",
           "spread", "remarks")  # fmt: skip


def table(rounds: Rounds) -> Table:
    made = Table("gateway", "G.711 both ways through one core, medians of alternating rounds", COLUMNS)
    for one in rounds.measured:
        reference = rounds.of(one.place, one.scenario, REFERENCE)
        rate, cpu = middle(one.packets_per_s), middle(one.cpu_ns)
        ratio, cost = (
            (over(rate, middle(reference.packets_per_s)), over(cpu, middle(reference.cpu_ns)))
            if reference and one is not reference
            else (None, None)
        )
        noise = spread(one.packets_per_s)
        made.rows.append((
            one.place, one.scenario, one.subject, _number(rate), _number(ratio, ".2f"), _number(cpu),
            _number(cost, ".2f"), _number(noise, ".0%"), _remarks(one),
        ))  # fmt: skip
        made.faults += [f"{one.place} {one.scenario} {one.subject}: {fault}" for fault in one.faults]
    made.raw["rounds"] = rounds.raw()
    made.notes = list(rounds.notes)
    made.charts = _charts(rounds)
    made.figures = figures(rounds)
    return made


def figures(rounds: Rounds) -> dict[str, float]:
    """The best port back end of each family in the first scenario of each place."""
    found: dict[str, float] = {}
    for place in dict.fromkeys(one.place for one in rounds.measured):
        here = [one for one in rounds.measured if one.place == place]
        here = [one for one in here if one.scenario == here[0].scenario]
        reference = rounds.of(place, here[0].scenario, REFERENCE)
        for one in [one for one in here if reference and one is not reference]:
            _best(found, one, reference, "_loopback" if place == "loopback" else "")
    return found


def _best(found: dict[str, float], one: Measured, reference: Measured, suffix: str) -> None:
    rate = over(middle(one.packets_per_s), middle(reference.packets_per_s))
    cost = over(middle(one.cpu_ns), middle(reference.cpu_ns))
    key = f"{one.family}{suffix}"
    if rate is not None and cost is not None and rate > found.get(f"gateway_{key}", 0.0):
        found[f"gateway_{key}"], found[f"cpu_{key}"] = rate, cost


def _remarks(one: Measured) -> str:
    words = [] if one.runs.startswith(one.subject) or not one.runs else [f"runs {one.runs}"]
    if one.generator_limited:
        words.append("generator-limited: the true rate is higher, CPU tells")
    if one.dead_after_overload:
        words.append(f"streams stayed dead after {one.dead_after_overload} overloads")
    if one.faults:
        words.append("NOT A RATE: see faults" if not one.packets_per_s else f"{len(one.faults)} rounds spoilt")
    return "; ".join(words)


def _number(value: float | None, form: str = ",.0f") -> str | None:
    return None if value is None else format(value, form)


def _charts(rounds: Rounds) -> list[Chart]:
    labels = [f"{one.subject}\n{one.scenario}\n{one.place}" for one in rounds.measured]
    rates = [middle(one.packets_per_s) or 0.0 for one in rounds.measured]
    costs = [middle(one.cpu_ns) or 0.0 for one in rounds.measured]
    return [
        Chart("packets/s without loss, one core", labels, {"packets/s": rates}, "packets/s"),
        Chart("CPU per packet at that rate", labels, {"ns": costs}, "ns"),
    ]
