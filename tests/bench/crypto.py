"""Table (a): what protect and unprotect cost per packet: every suite, every cipher back end through our engine, beside
libsrtp as Debian ships it (NSS) and libsrtp with OpenSSL."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from appliance.protocols.srtp import suites
from kernels.cipher import select
from kernels.load.meter import core_ghz
from kernels.load.meter import measure as engine_ns
from kernels.srtp.transform import Transform
from tests.bench import libsrtp
from tests.bench.plan import Plan
from tests.bench.results import Cell, Chart, Table, middle, over, spread

OPENSSL, NSS = "libsrtp+OpenSSL", "libsrtp+NSS"
NSS_CONTEXTS = 1000  # it takes 15 s to make 10,000, and 200 us a packet then
FIGURES = {  # suite, payload -> key of tests.bench.figures, at the most contexts
    ("AES_CM_128_HMAC_SHA1_80", 160): "crypto_cm128",
    ("AES_CM_128_HMAC_SHA1_80", 1200): "crypto_cm128_long",
    ("AEAD_AES_128_GCM", 160): "crypto_gcm128",
    ("AEAD_AES_128_GCM", 1200): "crypto_gcm128_long",
}
MOST_CONTEXTS = 10_000
Pair = tuple[float, float]  # ns to protect, to unprotect
Measure = Callable[[int, int], Pair]  # payload, packets


def table(plan: Plan) -> Table:
    """Rows: suite, payload, contexts; a pair of columns per back end and library."""
    backends = [name for name in select.names() if select.passes(name)]
    chosen, programs, notes = select.selected() or "none", *_programs()
    subjects = [*backends, *programs]
    columns = ("suite", "octets", "contexts", *subjects, f"ratio {chosen} to OpenSSL", f"cycles {chosen}", "spread")
    made = Table("crypto", "ns per packet, protect / unprotect, one core", columns, notes=notes)
    made.raw["rounds"] = []
    with _pinned(plan.gateway_cpu):
        ghz = core_ghz()
        for suite, contexts in itertools.product(plan.crypto_suites, plan.crypto_contexts):
            pairs = _rounds(plan, suite, contexts, backends, programs)
            for payload in plan.crypto_payloads:
                _row(made, suite, payload, contexts, {name: pairs.get((name, payload), []) for name in subjects},
                     chosen, ghz)  # fmt: skip
    made.notes.append(f"core clock {ghz:.2f} GHz; back end chosen by itself: {chosen}")
    made.notes.append(f"{NSS} is measured with at most {NSS_CONTEXTS:,} contexts: with more it slows down further")
    made.charts = _charts(made, subjects)
    return made


def _programs() -> tuple[dict[str, Path], list[str]]:
    """The meters of libsrtp that can be had here; why not of the others."""
    programs, notes = {}, []
    for name, make in ((OPENSSL, libsrtp.openssl_meter), (NSS, libsrtp.system_meter)):
        try:
            programs[name] = make()
        except libsrtp.Unavailable as error:
            notes.append(f"no {name}: {error}")
    return programs, notes


def _rounds(
    plan: Plan, name: str, contexts: int, backends: list[str], programs: dict[str, Path]
) -> dict[tuple[str, int], list[Pair]]:
    """(subject, payload) -> ns of every round; the subjects take turns."""
    found: dict[tuple[str, int], list[Pair]] = {}
    with ExitStack() as stack:
        measures: dict[str, Measure] = {backend: _ours(name, contexts, backend) for backend in backends}
        for library, program in programs.items():
            most = min(contexts, NSS_CONTEXTS) if library == NSS else contexts
            meter = stack.enter_context(libsrtp.meter(program, name, most, plan.gateway_cpu))
            if meter is not None:
                measures[library] = meter.measure
        for _ in range(plan.crypto_rounds):
            for payload, (subject, measure) in itertools.product(plan.crypto_payloads, measures.items()):
                packets = plan.crypto_packets // (4 if subject == NSS else 1)
                found.setdefault((subject, payload), []).append(measure(payload, packets))
    return found


def _ours(name: str, contexts: int, backend: str) -> Measure:
    suite = suites.find(name)
    assert suite is not None, name
    lengths = suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag
    transform = Transform(suite.cipher, suite.auth, *lengths)
    return lambda payload, packets: engine_ns(transform, contexts, payload, packets, backend=backend)


def _row(made: Table, suite: str, payload: int, contexts: int, rounds: dict[str, list[Pair]], chosen: str,
         ghz: float) -> None:  # fmt: skip
    medians = {name: (middle([p for p, _ in pairs]), middle([u for _, u in pairs])) for name, pairs in rounds.items()}
    mine, theirs = medians.get(chosen, (None, None)), medians.get(OPENSSL, (None, None))
    ratios = [over(their, my) for my, their in zip(mine, theirs, strict=True)]
    noise = max((spread([sum(pair) for pair in pairs]) or 0.0 for pairs in rounds.values()), default=0.0)
    cells: list[Cell] = [_both(*pair) for pair in medians.values()]
    cycles = [None if ns is None else ns * ghz for ns in mine]
    made.rows.append((
        suite.replace("_HMAC_SHA1", ""), f"{payload}", f"{contexts:,}", *cells, _both(*ratios, form=".1f"),
        _both(*cycles), f"{noise:.0%}",
    ))  # fmt: skip
    made.raw["rounds"].append({"suite": suite, "payload": payload, "contexts": contexts, "ns": rounds})
    key = FIGURES.get((suite, payload))
    known = [ratio for ratio in ratios if ratio is not None]
    if key and known and contexts == MOST_CONTEXTS:
        made.figures[key] = min(known)


def _both(one: float | None, other: float | None, form: str = ",.0f") -> str | None:
    return None if one is None or other is None else f"{one:{form}} / {other:{form}}"


def _charts(made: Table, subjects: list[str]) -> list[Chart]:
    """For every payload: protect and unprotect together at the most contexts, by suite."""
    charts = []
    for payload in sorted({row["payload"] for row in made.raw["rounds"]}):
        rows = [row for row in made.raw["rounds"] if row["payload"] == payload]
        rows = [row for row in rows if row["contexts"] == max(row["contexts"] for row in rows)]
        series = {name: [middle([p + u for p, u in row["ns"][name]]) or 0.0 for row in rows] for name in subjects
                  if name != NSS}  # fmt: skip
        title = f"protect + unprotect, {payload} octets, {rows[0]['contexts']:,} contexts"
        charts.append(Chart(title, [row["suite"].replace("HMAC_", "") for row in rows], series, "ns per packet"))
    return charts


@contextlib.contextmanager
def _pinned(cpu: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
