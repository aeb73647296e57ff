"""`make bench`: this gateway and rtpengine side by side in one run, ratios on the screen, figures in bench-results/.

`--quick` only proves that everything runs: few calls, one slow rate, no thresholds; its exit status says whether every
packet arrived as it was sent. Exit status 1: a run lost or corrupted packets where it should not have."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.measure import compare, crypto
from tests.bench.plan import QUICK, Plan
from tests.bench.report import show, write
from tests.bench.subjects import RTPENGINE, gateway, reference_gateway


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    plan = _plan(options)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="srtpgw-bench-") as name, contextlib.ExitStack() as stack:
        folder, subjects = Path(name), []
        if "srtpgw" in options.only:
            ours = gateway(folder, plan.gateway_ports, plan.gateway_cpu, plan.calls + 10)
            subjects.append(stack.enter_context(ours))
        if "rtpengine" in options.only and RTPENGINE:
            subjects.append(stack.enter_context(reference_gateway(folder, plan.rtpengine_ports, plan.gateway_cpu)))
        figures = compare(subjects, plan)
        costs = crypto(plan, folder)
    facts = {
        "plan": dataclasses.asdict(plan), "kernel": os.uname().release, "cpus": os.cpu_count(),
        "seconds": round(time.monotonic() - begin, 1), "quick": options.quick,
    }  # fmt: skip
    show(figures, costs, f"{2 * plan.calls} streams of G.711, RTP to {plan.suite} and back, loopback")
    print(f"written: {write(figures, costs, facts, options.results)} ({facts['seconds']} s)")
    return 1 if any(one.faults for one in figures) else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="prove that everything runs; figures mean nothing")
    parser.add_argument("--only", nargs="+", default=["srtpgw", "rtpengine"], choices=["srtpgw", "rtpengine"])
    parser.add_argument("--trunk", action="store_true", default=None, help="all endpoints of a side share a port")
    parser.add_argument("--calls", type=int, help="bidirectional calls")
    parser.add_argument("--set-ups", type=int, help="calls set up one after the other, per round")
    parser.add_argument("--rounds", type=int, help="alternating rounds")
    parser.add_argument("--suite", help="SRTP suite of the secure legs")
    parser.add_argument("--base-port", type=int, help="first of the UDP ports that are used")
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    return parser.parse_args(arguments)


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    given = {name: getattr(options, name) for name in ("calls", "trunk", "rounds", "set_ups", "suite", "base_port")}
    plan = dataclasses.replace(plan, **{name: value for name, value in given.items() if value is not None})
    cpus = sorted(os.sched_getaffinity(0))  # with a single one everybody shares it, and figures mean little
    return dataclasses.replace(plan, gateway_cpu=cpus[0], generator_cpu=cpus[-1])


if __name__ == "__main__":
    sys.exit(main())
