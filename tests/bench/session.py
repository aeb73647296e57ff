"""A gateway with calls up and a load generator of its own: what one round of a comparison needs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from kernels.load.plan import StreamConfig
from tests.bench.calls import Scenario, set_up, tear_down
from tests.bench.generator import Generator, Outcome, generator
from tests.bench.places import Place
from tests.bench.plan import Plan
from tests.bench.search import LOSS, Best, describe, search
from tests.bench.subjects import Subject, subject
from tests.system.ng import NgError

FAILURES = (RuntimeError, OSError, ValueError, AssertionError, NgError)  # what a gateway that does not work ends in


class Session:
    """`call` makes calls; a run drives those that were made last."""

    def __init__(self, plan: Plan, place: Place, scenario: Scenario, running: Subject) -> None:
        self.plan, self.place, self.scenario, self.subject = plan, place, scenario, running
        self.streams: list[StreamConfig] = []
        self.resident_per_call = 0.0  # octets, of the calls that were made last
        self.private_per_call = 0.0  # octets, of the workers, beside the arena
        self.dead_after_overload = 0
        self._load: Generator | None = None
        self._up = contextlib.ExitStack()
        self._made = 0  # calls so far

    def call(self, calls: int) -> int:
        """So many new calls, and a generator for them alone: its SRTP begins anew, so older calls stay silent. How many
        it became: a gateway that is full before ends it, when it took at least a third."""
        before, private, streams = self.subject.resident(), self.subject.private(), list[StreamConfig]()
        for number in range(self._made, self._made + calls):
            try:
                streams += set_up(self.subject.client, self.place, self.scenario, number).streams
            except NgError:
                if 3 * len(streams) // 2 < calls:
                    raise
                break
        calls = len(streams) // 2
        self._made += calls
        self.resident_per_call = (self.subject.resident() - before) / calls
        self.private_per_call = (self.subject.private() - private) / calls
        self._up.close()
        self.streams = streams
        self._load = self._up.enter_context(generator(self.place, streams, self.plan.generator_cpu))
        return calls

    def run(self, rate: float, seconds: float) -> tuple[Outcome, int]:
        """One run and the gateway's CPU time; told on standard error, for a strange figure wants its probes seen."""
        assert self._load is not None
        before = self.subject.cpu_ns()
        outcome = self._load.run(rate, seconds)
        spent, summary = self.subject.cpu_ns() - before, outcome.summary
        name = f"{self.place.name} {self.scenario.name} {self.subject.name}"
        print(
            f"{name}: {outcome.rate:,.0f} of {outcome.wanted:,.0f}/s, {outcome.loss:.3%} lost, {summary.late} late, "
            f"{outcome.wrong} wrong, {spent / max(outcome.totals.received, 1):,.0f} ns, "
            f"p99 {summary.latency_us.p99:,.0f} us, generator: "
            f"{summary.cpu_ns / max(outcome.totals.sent, 1):,.0f} ns a packet, at most {summary.behind_us:,.0f} us "
            f"behind, {summary.skipped} skipped",
            file=sys.stderr,
        )
        return outcome, spent

    def best(self, start: float, probes: int, *, near: bool = False) -> Best:
        """The highest rate without loss. The first packets of a call teach addresses, so a slow run leads."""
        if not self.plan.search:
            outcome, spent = self.run(start, self.plan.probe_s)
            if outcome.loss >= LOSS or outcome.wrong:
                return Best(None, 0.0, spoilt=describe(outcome))
            return Best(outcome, spent / max(outcome.totals.received, 1))
        self.warm()
        return search(self._probe, start, probes=probes, near=near)

    def warm(self) -> Outcome:
        """Every stream a few packets."""
        return self.run(max(2_000.0, 2.0 * len(self.streams)), 0.5)[0]

    def close(self) -> None:
        self._up.close()

    def _probe(self, rate: float) -> tuple[Outcome, int]:
        """One run. An overload may leave streams dead for good (rtpengine 10.5 waits for an edge of a socket whose
        queue is full): then the calls are made anew, so that the next probe measures a rate and not that."""
        outcome, spent = self.run(rate, self.plan.probe_s)
        if outcome.loss >= LOSS and self.warm().loss >= LOSS:
            self.dead_after_overload += 1
            self._renew()
        return outcome, spent

    def _renew(self) -> None:
        calls = len(self.streams) // 2
        for number in range(self._made - calls, self._made):
            tear_down(self.subject.client, f"bench-{number}")
        self.call(calls)
        self.warm()


@contextlib.contextmanager
def session(plan: Plan, place: Place, scenario: Scenario, name: str, folder: Path, calls: int) -> Iterator[Session]:
    """A gateway that was started for this, room for `calls`, no call yet."""
    with subject(name, place, folder, plan.gateway_cpu, calls) as running:
        made = Session(plan, place, scenario, running)
        with contextlib.closing(made):
            yield made
