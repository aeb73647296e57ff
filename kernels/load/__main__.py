"""`python -m kernels.load`: load endpoints as a process that can be pinned or put in a network namespace.

One JSON document a line on standard input, one a line on standard output:

    in   {"streams": [StreamConfig, ...], "cpu": 1, "pattern_key": 7}      the last two may be left out
    out  {"ports": [[rtp, rtcp], ...]}                                     sockets are bound
    in   {"seconds": 2.0, "packets": 0, "interval_us": 0, "settle_ms": 300}      a Run; as many as wanted
    out  {"summary": RunReport, "streams": [StreamReport, ...]}

It ends at end of file. A mistake in a line is answered by {"error": text} and exit status 2.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import Any, TextIO

from kernels.load.endpoints import PATTERN_KEY, Endpoints
from kernels.load.plan import Run, stream_from_json


def serve(lines: TextIO, out: TextIO) -> int:
    """Carry out a conversation; the exit status."""
    try:
        endpoints = _construct(json.loads(lines.readline()))
        _say(out, {"ports": endpoints.ports()})
        for line in lines:
            endpoints.perform(Run(**json.loads(line)))
            streams = [dataclasses.asdict(report) for report in endpoints.report()]
            _say(out, {"summary": dataclasses.asdict(endpoints.summary()), "streams": streams})
    except (ValueError, TypeError, KeyError, OSError) as error:
        _say(out, {"error": f"{type(error).__name__}: {error}"})
        return 2
    return 0


def _construct(plan: dict[str, Any]) -> Endpoints:
    if "cpu" in plan:
        os.sched_setaffinity(0, {int(plan["cpu"])})
    streams = [stream_from_json(document) for document in plan["streams"]]
    return Endpoints(streams, int(plan.get("pattern_key", PATTERN_KEY)))


def _say(out: TextIO, document: dict[str, Any]) -> None:
    out.write(json.dumps(document) + "\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(serve(sys.stdin, sys.stdout))
