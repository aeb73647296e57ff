"""What is measured of each subject, in alternating rounds, so that a noisy minute hits both."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
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
    faults: list[str] = field(default_factory=list)


class Side:
    """A subject with its calls up and its own load generator."""

    def __init__(self, subject: Subject, figures: Figures, load: Generator, plan: Plan) -> None:
        self.subject, self.figures, self.load, self.plan = subject, figures, load, plan
        self.start_rate = plan.start_rate  # where the search begins

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
        half = self.load.run(best.outcome.rate / 2, self.plan.latency_s)
        if half.loss >= LOSS or half.wrong:
            self.figures.faults.append(describe(half))
            return
        self.figures.p50_us.append(half.summary.latency_us.p50)
        self.figures.p99_us.append(half.summary.latency_us.p99)

    def set_up_rate(self, suite: suites.Suite) -> None:
        """No media flows: the ports of the endpoints are only words in SDP here."""
        ports, begin = self.plan.endpoint_ports, time.perf_counter()
        for number in range(self.plan.set_ups):
            call = set_up(self.subject.client, number, (ports[0], ports[1]), suite, prefix="rate")
            tear_down(self.subject.client, call.call_id)
        self.figures.set_ups_per_s.append(self.plan.set_ups / (time.perf_counter() - begin))

    def _probe(self, rate: float) -> tuple[Outcome, int]:
        before = self.subject.cpu_ns()
        outcome = self.load.run(rate, self.plan.probe_s)
        return outcome, self.subject.cpu_ns() - before

    def _once(self) -> Best:
        outcome, cpu = self._probe(self.plan.start_rate)
        if outcome.loss >= LOSS or outcome.wrong:
            return Best(None, 0.0, spoilt=describe(outcome))
        return Best(outcome, cpu / max(outcome.totals.received, 1))


@contextlib.contextmanager
def side(subject: Subject, plan: Plan, suite: suites.Suite) -> Iterator[Side]:
    """Calls up, endpoints bound; afterwards calls down, so that the next subject may use the ports."""
    figures, ports, before = Figures(subject.name), plan.endpoint_ports, subject.resident()
    calls = [
        set_up(subject.client, number, (ports[2 * number], ports[2 * number + 1]), suite)
        for number in range(plan.calls)
    ]
    figures.resident_octets_per_call = (subject.resident() - before) / plan.calls
    streams = [stream for call in calls for stream in call.streams]
    with generator(streams, plan.generator_cpu) as load:
        yield Side(subject, figures, load, plan)
    for call in calls:
        tear_down(subject.client, call.call_id)


def compare(subjects: list[Subject], plan: Plan) -> list[Figures]:
    """Every subject in turn, `plan.rounds` times; each keeps its place in the order."""
    suite = suites.find(plan.suite)
    assert suite is not None
    collected = {subject.name: Figures(subject.name) for subject in subjects}
    starts: dict[str, float] = {}
    for _ in range(plan.rounds):
        for subject in subjects:
            with side(subject, plan, suite) as current:
                current.start_rate = starts.get(subject.name, plan.start_rate)
                current.round()
                starts[subject.name] = current.start_rate
            current.set_up_rate(suite)
            _merge(collected[subject.name], current.figures)
    if "srtpgw" in collected:
        collected["srtpgw"].arena_octets_per_call = (footprint(1, 2000, 0) - footprint(1, 1000, 0)) / 1000
    return list(collected.values())


def _merge(into: Figures, part: Figures) -> None:
    for name in ("packets_per_s", "cpu_ns_per_packet", "p50_us", "p99_us", "set_ups_per_s", "faults"):
        getattr(into, name).extend(getattr(part, name))
    into.resident_octets_per_call = max(into.resident_octets_per_call, part.resident_octets_per_call)
    into.generator_limited |= part.generator_limited


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

