"""Tables (b) and (c) come from the same sessions: in each round every gateway is started, searched for its lossless
rate, and run at half of it for the latency. Alternating rounds, so that a noisy minute hits all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.calls import Scenario
from tests.bench.places import Loopback, Place, no_veth, veth
from tests.bench.plan import Plan
from tests.bench.search import LOSS, describe
from tests.bench.session import FAILURES, session
from tests.bench.subjects import REFERENCE, RTPENGINE, port_kinds

BEST = ("udp-wildcard", "xdp-native")


@dataclass
class Measured:
    """One gateway in one scenario and place; lists have an entry per round that gave a figure."""

    place: str
    scenario: str
    subject: str
    packets_per_s: list[float] = field(default_factory=list)
    cpu_ns: list[float] = field(default_factory=list)  # per packet at that rate
    p50_us: list[float] = field(default_factory=list)  # added latency at half of the round's rate
    p99_us: list[float] = field(default_factory=list)
    p999_us: list[float] = field(default_factory=list)
    runs: str = ""  # port back end and cipher, as the gateway itself says
    generator_limited: bool = False
    dead_after_overload: int = 0  # times that streams stayed dead after a run above the capacity
    faults: list[str] = field(default_factory=list)
    start: float = 0.0  # where the next search begins

    @property
    def family(self) -> str:
        """`udp` or `xdp`, what really runs."""
        return (self.runs or self.subject)[:3]


@dataclass
class Rounds:
    """All of them, and what could not be had here."""

    measured: list[Measured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, place: str, scenario: str, name: str) -> Measured | None:
        found = [one for one in self.measured if (one.place, one.scenario, one.subject) == (place, scenario, name)]
        return found[0] if found else None

    def raw(self) -> list[dict[str, Any]]:
        return [asdict(one) for one in self.measured]


def measure(plan: Plan, only: list[str], folder: Path) -> Rounds:
    """Everything of the plan, in every place that can be had. only: names of subjects."""
    made, begin = Rounds(), time.monotonic()
    others = sum(seconds for name, seconds in plan.seconds(1, 1).items() if name != "gateway")
    if RTPENGINE is None and REFERENCE in only:
        made.notes.append("no rtpengine here: no ratios")
    with _places(plan, folder, made) as places:
        for place, scenarios in places:
            for number, (scenario, rounds) in enumerate(scenarios):
                names = _names(only, place, every=number == 0)
                for turn in range(rounds):
                    if turn and time.monotonic() - begin > plan.budget_s - others:
                        made.notes.append(f"{scenario.name}: {turn} rounds instead of {rounds}, there was no time")
                        break
                    for name in names:
                        _visit(plan, place, scenario, name, folder / f"{place.name}-{number}-{turn}-{name}", made)
    return made


@contextlib.contextmanager
def _places(plan: Plan, folder: Path, made: Rounds) -> Iterator[list[tuple[Place, tuple[tuple[Scenario, int], ...]]]]:
    with contextlib.ExitStack() as stack:
        places: list[tuple[Place, tuple[tuple[Scenario, int], ...]]] = []
        reason = no_veth()
        if reason:
            made.notes.append(f"no veth pairs: {reason}")
        else:
            places.append((stack.enter_context(veth(folder, plan.gateway_cpu)), plan.scenarios))
        if plan.loopback_rounds:
            places.append((Loopback(folder), ((plan.scenarios[0][0], plan.loopback_rounds),)))
        yield places


def _names(only: list[str], place: Place, *, every: bool) -> list[str]:
    """The subjects of a scenario: every port back end, or one of each kind; AF_XDP needs the veth pairs."""
    kinds = [kind for kind in port_kinds() if kind in only or "srtpgw" in only]
    if place.name == "loopback":
        kinds = [kind for kind in kinds if kind.startswith("udp")]
    if not every:
        kinds = representative(kinds)
    return ([REFERENCE] if REFERENCE in only and RTPENGINE else []) + kinds


def representative(kinds: list[str]) -> list[str]:
    """One of each family, `udp...` and `xdp...`: the best where everything is permitted, else the first."""
    chosen: dict[str, str] = {}
    for kind in kinds:
        if kind[:3] not in chosen or kind in BEST:
            chosen[kind[:3]] = kind
    return list(chosen.values())


def _visit(plan: Plan, place: Place, scenario: Scenario, name: str, folder: Path, made: Rounds) -> None:
    """One round of one gateway. A gateway that does not start, or whose calls fail, is a fault and no end."""
    one = made.of(place.name, scenario.name, name)
    if one is None:
        one = Measured(place.name, scenario.name, name, start=_guess(plan, place, name, made))
        made.measured.append(one)
    near, known = bool(one.packets_per_s), one.start != plan.start_rate
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with session(plan, place, scenario, name, folder, plan.calls) as open_:
            one.runs = open_.subject.runs
            open_.call(plan.calls)
            best = open_.best(one.start, plan.probes(not known, int(near)), near=near)
            one.dead_after_overload += open_.dead_after_overload
            if best.outcome is None:
                one.faults.append(best.spoilt)
                return
            one.packets_per_s.append(best.outcome.rate)
            one.cpu_ns.append(best.cpu_ns)
            one.generator_limited |= best.limited
            one.start = best.outcome.rate / 1.05
            half = open_.run(best.outcome.rate / 2, plan.latency_s)[0]
    except FAILURES as error:
        one.faults.append(f"{type(error).__name__}: {str(error)[:300]}")
        return
    if half.loss >= LOSS or half.wrong:
        one.faults.append(f"latency run: {describe(half)}")
        return
    one.p50_us.append(half.summary.latency_us.p50)
    one.p99_us.append(half.summary.latency_us.p99)
    one.p999_us.append(half.summary.latency_us.p999)


def _guess(plan: Plan, place: Place, name: str, made: Rounds) -> float:
    """Where a first search begins: near what the same gateway did in another scenario of this place."""
    known = [one.start for one in made.measured if (one.place, one.subject) == (place.name, name) and one.packets_per_s]
    return 0.75 * known[-1] if known else plan.start_rate
