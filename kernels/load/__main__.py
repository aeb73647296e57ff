"""`python -m kernels.load`: load endpoints as a process that can be pinned or put in a network namespace.

One JSON document a line on standard input, one a line on standard output:

    in   {"streams": [StreamConfig, ...], "cpu": 1, "pattern_key": 7}      the last two may be left out
    out  {"ports": [[rtp, rtcp], ...]}                                     sockets are bound
    in   {"seconds": 2.0, "packets": 0, "interval_us": 0, "settle_ms": 300}      a Run; as many as wanted
    out  {"summary": RunReport, "streams": [StreamReport, ...]}

or, past the kernel's UDP (kernels.load.wires), reports summed by side:

    in   {"wires": [Wire, ...], "talkers": [[wire, StreamConfig], ...], "cpu": 1}
    out  {"ports": []}
    in   {"seconds": 2.0, "packets_per_s": 100000, "settle_ms": 100}
    out  {"summary": RunReport, "streams": [StreamReport, StreamReport], "silent": 0}

It ends at end of file. A mistake in a line is answered by {"error": text} and exit status 2.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any, TextIO

from kernels.load.endpoints import PATTERN_KEY, Endpoints
from kernels.load.fleet import Fleet
from kernels.load.plan import Run, stream_from_json
from kernels.load.wires import fleet_from_json


def serve(lines: TextIO, out: TextIO) -> int:
    """Carry out a conversation; the exit status."""
    try:
        plan = json.loads(lines.readline())
        if "cpu" in plan:
            os.sched_setaffinity(0, {int(plan["cpu"])})
        if "wires" in plan:
            _serve_fleet(plan, lines, out)
        else:
            _serve_endpoints(plan, lines, out)
    except (ValueError, TypeError, KeyError, OSError) as error:
        _say(out, {"error": f"{type(error).__name__}: {error}"})
        return 2
    return 0


def _serve_endpoints(plan: dict[str, Any], lines: TextIO, out: TextIO) -> None:
    streams = [stream_from_json(document) for document in plan["streams"]]
    endpoints = Endpoints(streams, int(plan.get("pattern_key", PATTERN_KEY)))
    _say(out, {"ports": endpoints.ports()})
    for line in lines:
        endpoints.perform(Run(**json.loads(line)))
        _say(out, _reports(endpoints))


def _serve_fleet(plan: dict[str, Any], lines: TextIO, out: TextIO) -> None:
    fleet, ports = fleet_from_json(plan)
    try:
        _say(out, {"ports": []})
        for line in lines:
            fleet.perform(Run(**json.loads(line)))
            _say(out, {**_reports(fleet), "silent": fleet.silent()})
    finally:
        for port in ports:
            port.close()


def _reports(load: Endpoints | Fleet) -> dict[str, Any]:
    streams = [dataclasses.asdict(report) for report in load.report()]
    return {"summary": dataclasses.asdict(load.summary()), "streams": streams}


def _say(out: TextIO, document: dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(serve(sys.stdin, sys.stdout))
