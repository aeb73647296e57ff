"""What is measured of each subject, in alternating rounds, so that a noisy minute hits both."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from appliance.protocols.srtp import suites
from kernels.control.arena import footprint
from kernels.load.meter import measure as engine_ns
from kernels.srtp.transform import Transform
from tests.bench.calls import set_up, tear_down
from tests.bench.generator import Generator, Outcome, generator
from tests.bench.plan import Plan
from tests.bench.search import LOSS, Best, describe, search
from tests.bench.subjects import Subject


@dataclass
class Figures:
    """Of one subject; lists have an entry per round. `faults` is not empty when a run lost or corrupted packets."""

    name: str
    packets_per_s: list[float] = field(default_factory=list)
    cpu_ns_per_packet: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)  # near half of the round's rate
    p99_us: list[float] = field(default_factory=list)
    set_ups_per_s: list[float] = field(default_factory=list)  # offer, answer and delete, one after the other
    resident_octets_per_call: float = 0.0
    arena_octets_per_call: float = 0.0  # 0: has none
    generator_limited: bool = False
    dead_after_overload: int = 0  # times that streams stayed dead after a run above the capacity
    faults: list[str] = field(default_factory=list)


class Side:
    """A subject with its calls up and its own load generator."""

    def __init__(self, subject: Subject, plan: Plan, suite: suites.Suite, start_rate: float) -> None:
        self.subject, self.plan, self.suite = subject, plan, suite
        self.figures = Figures(subject.name)
        self.start_rate = start_rate  # where the search begins
        self._up = contextlib.ExitStack()
        self._load = self._set_up()

    def round(self) -> None:
        """One search, one latency run."""
        best = search(self._probe, self.start_rate) if self.plan.search else self._once()
        if best.outcome is None:
            self.figures.faults.append(best.spoilt)
            return
        self.start_rate = best.outcome.rate / 1.15
        self.figures.packets_per_s.append(best.outcome.rate)
        self.figures.cpu_ns_per_packet.append(best.cpu_ns)
        self.figures.generator_limited |= best.limited
        half = self._run(best.outcome.rate / 2, self.plan.latency_s)[0]
        if half.loss >= LOSS or half.wrong:
            self.figures.faults.append(describe(half))
            return
        self.figures.p50_us.append(half.summary.latency_us.p50)
        self.figures.p99_us.append(half.summary.latency_us.p99)

    def set_up_rate(self) -> None:
        """No media flows: the ports of the endpoints are only words in SDP here."""
        begin = time.perf_counter()
        for number in range(self.plan.set_ups):
            call = set_up(self.subject.client, number, self.plan.endpoints(0), self.suite, prefix="rate")
            tear_down(self.subject.client, call.call_id)
        self.figures.set_ups_per_s.append(self.plan.set_ups / (time.perf_counter() - begin))

    def close(self) -> None:
        """Generator and calls down, so that the next subject may use the ports."""
        self._up.close()

    def _set_up(self) -> Generator:
        before, calls = self.subject.resident(), []
        for number in range(self.plan.calls):
            call = set_up(self.subject.client, number, self.plan.endpoints(number), self.suite)
            self._up.callback(tear_down, self.subject.client, call.call_id)
            calls.append(call)
        held = (self.subject.resident() - before) / self.plan.calls  # later rounds reuse what earlier ones freed
        self.figures.resident_octets_per_call = max(held, self.figures.resident_octets_per_call)
        streams = [stream for call in calls for stream in call.streams]
        return self._up.enter_context(generator(streams, self.plan.generator_cpu))

    def _probe(self, rate: float) -> tuple[Outcome, int]:
        """One run. An overload may leave streams dead for good (rtpengine 10.5 waits for an edge of a socket whose
        queue is full): then the calls are made anew, so that the next probe measures a rate and not that."""
        outcome, spent = self._run(rate, self.plan.probe_s)
        if outcome.loss >= LOSS and self._run(self.plan.start_rate / 4, self.plan.probe_s / 2)[0].loss >= LOSS:
            self.figures.dead_after_overload += 1
            self._up.close()
            self._load = self._set_up()
        return outcome, spent

    def _once(self) -> Best:
        outcome, spent = self._run(self.plan.start_rate, self.plan.probe_s)
        if outcome.loss >= LOSS or outcome.wrong:
            return Best(None, 0.0, spoilt=describe(outcome))
        return Best(outcome, spent / max(outcome.totals.received, 1))

    def _run(self, rate: float, seconds: float) -> tuple[Outcome, int]:
        """One run and the subject's CPU time; told on standard error, for a strange figure wants its probes seen."""
        before = self.subject.cpu_ns()
        outcome = self._load.run(rate, seconds)
        spent, summary = self.subject.cpu_ns() - before, outcome.summary
        print(
            f"{self.subject.name}: {outcome.rate:,.0f} of {outcome.wanted:,.0f}/s, {outcome.loss:.3%} lost, "
            f"{spent / max(outcome.totals.received, 1):,.0f} ns/packet, p99 {summary.latency_us.p99:,.0f} us; "
            f"generator: CPU {summary.cpu_ns / 1e9 / summary.seconds:.0%}, behind {summary.behind_us:,.0f} us, "
            f"{summary.skipped} skipped",
            file=sys.stderr,
        )
        return outcome, spent


def compare(subjects: list[Subject], plan: Plan) -> list[Figures]:
    """Every subject in turn, `plan.rounds` times; each keeps its place in the order."""
    suite = suites.find(plan.suite)
    assert suite is not None
    collected = {subject.name: Figures(subject.name) for subject in subjects}
    starts: dict[str, float] = {}
    for _ in range(plan.rounds):
        for subject in subjects:
            side = Side(subject, plan, suite, starts.get(subject.name, plan.start_rate))
            with contextlib.closing(side):
                side.round()
            side.set_up_rate()
            starts[subject.name] = side.start_rate
            _merge(collected[subject.name], side.figures)
    if "srtpgw" in collected:
        collected["srtpgw"].arena_octets_per_call = (footprint(1, 2000, 0) - footprint(1, 1000, 0)) / 1000
    return list(collected.values())


def _merge(into: Figures, part: Figures) -> None:
    for name in ("packets_per_s", "cpu_ns_per_packet", "p50_us", "p99_us", "set_ups_per_s", "faults"):
        getattr(into, name).extend(getattr(part, name))
    into.resident_octets_per_call = max(into.resident_octets_per_call, part.resident_octets_per_call)
    into.generator_limited |= part.generator_limited
    into.dead_after_overload += part.dead_after_overload


def crypto(plan: Plan, folder: Path) -> dict[str, dict[str, float]]:
    """ns per packet of 160 octets, protect and unprotect: {"cm128 x 1": {"engine protect": ..., ...}, ...}."""
    meter = _compile(folder)
    rows: dict[str, dict[str, float]] = {}
    for short, name in (("cm128", "AES_CM_128_HMAC_SHA1_80"), ("gcm128", "AEAD_AES_128_GCM")):
        suite = suites.find(name)
        assert suite is not None
        lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
        transform = Transform(suite.cipher, suite.auth, *lengths)
        for contexts in plan.crypto_contexts:
            row = rows[f"{short}, {contexts} contexts"] = {}
            row["engine protect"], row["engine unprotect"] = _median(
                [engine_ns(transform, contexts, 160, plan.crypto_packets) for _ in range(3)]
            )
            if meter is not None:
                command = [str(meter), short, str(contexts), "160", str(plan.crypto_packets // 4)]
                times = [
                    subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
                    for _ in range(3)
                ]
                row["libsrtp protect"], row["libsrtp unprotect"] = _median([(float(p), float(u)) for p, u in times])
    return rows


def _median(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _compile(folder: Path) -> Path | None:
    """The meter of the system's libsrtp; None where there is no compiler or no libsrtp2-dev."""
    compiler, program = shutil.which("gcc"), folder / "libsrtp_meter"
    source = Path(__file__).with_name("libsrtp_meter.c")
    if compiler is None:
        return None
    command = [compiler, "-O2", "-o", str(program), str(source), "-lsrtp2"]
    built = subprocess.run(command, capture_output=True, check=False)
    return program if built.returncode == 0 else None

