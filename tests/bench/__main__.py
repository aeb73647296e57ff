"""`make bench`: this gateway beside rtpengine, its ciphers beside libsrtp, in one run; tables, JSON and plots.

`--quick` only proves that everything runs: few calls, one slow rate, no thresholds; its exit status says whether every
packet arrived as it was sent. Exit status 1: a run lost or corrupted packets where it should not have."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from kernels.cipher import select
from tests.bench import crypto, gateway, growth, handshakes, latency, memory, rounds
from tests.bench.plan import QUICK, TABLES, Plan
from tests.bench.report import show, write
from tests.bench.results import Table
from tests.bench.subjects import REFERENCE, port_kinds


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    plan = _plan(options)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # rtpengine's: 45 MiB
    _allow_descriptors(200_000)
    expected = plan.seconds(len(port_kinds()), len(select.names()))
    print(f"expected to take at most {sum(expected.values()):.0f} s", file=sys.stderr)
    begin = time.monotonic()
    # in RAM, as paths.run is: call records are not to wait for a disk
    with tempfile.TemporaryDirectory(prefix="srtpgw-bench-", dir="/dev/shm") as name:
        tables, took = _run(plan, options.only, Path(name))
    facts = {
        "plan": dataclasses.asdict(plan), "kernel": os.uname().release, "cpus": os.cpu_count(), "ports": port_kinds(),
        "ciphers": list(select.names()), "seconds": round(time.monotonic() - begin, 1), "seconds_by_table": took,
    }  # fmt: skip
    show(tables, judge=not plan.quick)
    print(f"written: {write(tables, facts, options.results)} ({facts['seconds']} s)")
    return 1 if any(table.faults for table in tables) else 0


def _run(plan: Plan, only: list[str], folder: Path) -> tuple[list[Table], dict[str, float]]:
    """The tables of the plan in order, and the seconds that each took."""
    tables, took = [], {}
    if "crypto" in plan.tables and "srtpgw" in only:
        begin = time.monotonic()
        tables.append(crypto.table(plan))
        took["crypto"] = round(time.monotonic() - begin, 1)
    if {"gateway", "latency"} & set(plan.tables):
        begin = time.monotonic()
        measured = rounds.measure(plan, only, folder)
        tables.append(gateway.table(measured))
        if "latency" in plan.tables:
            tables.append(latency.table(measured))
        took["gateway"] = round(time.monotonic() - begin, 1)
    for name, module in (("growth", growth), ("memory", memory), ("handshakes", handshakes)):
        if name in plan.tables:
            begin = time.monotonic()
            tables.append(module.table(plan, only, folder))
            took[name] = round(time.monotonic() - begin, 1)
    return tables, took


def _allow_descriptors(wanted: int) -> None:
    """A socket per port: 10,000 calls have 40,000. Who may raises the limit; who may not is told by a fault."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), max(hard, limit)))
            return


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="prove that everything runs; figures mean nothing")
    parser.add_argument("--tables", nargs="+", choices=TABLES, help="which tables; default: all")
    parser.add_argument(
        "--only", nargs="+", default=["srtpgw", REFERENCE], choices=["srtpgw", REFERENCE, *port_kinds()],
        help="which gateways: srtpgw is all of our port back ends",
    )  # fmt: skip
    parser.add_argument("--calls", type=int, help="bidirectional calls of the gateway table")
    parser.add_argument("--probe-s", type=float, help="seconds of one run of a search")
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    given = {name: getattr(options, name) for name in ("calls", "probe_s", "tables")}
    plan = dataclasses.replace(plan, **{name: value for name, value in given.items() if value is not None})
    cpus = sorted(os.sched_getaffinity(0))  # with a single one everybody shares it, and figures mean little
    return dataclasses.replace(plan, gateway_cpu=cpus[0], generator_cpu=cpus[-1])


if __name__ == "__main__":
    sys.exit(main())
