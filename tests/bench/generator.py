"""The load generator as a process of its own, pinned beside the gateway under test."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kernels.load.plan import RunReport, StreamConfig, Totals, report_from_json, totals
from tests.bench.places import Place

SETTLE_MS = 150


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run at one rate."""

    wanted: float  # packets/s over all streams
    summary: RunReport
    totals: Totals

    @property
    def rate(self) -> float:
        """Packets/s really sent."""
        return self.totals.sent / self.summary.seconds

    @property
    def loss(self) -> float:
        return self.totals.lost / max(self.totals.sent, 1)

    @property
    def wrong(self) -> int:
        """Packets that arrived, but not as they were sent, or that the generator's own engine refused."""
        sums = self.totals
        return sums.corrupted + sums.header_changed + sums.misrouted + sums.duplicated

    @property
    def generator_limited(self) -> bool:
        """The generator itself did not keep its schedule: says nothing about the gateway."""
        return self.summary.skipped > 0.002 * self.totals.sent or self.rate < 0.97 * self.wanted


class Generator:
    """Conversation with `python -m kernels.load`."""

    def __init__(self, process: subprocess.Popen[str], streams: int) -> None:
        self._process, self._streams = process, streams

    def run(self, rate: float, seconds: float) -> Outcome:
        """Send at `rate` packets/s over all streams for so long, listen until quiet."""
        interval = max(1, round(self._streams * 1e6 / rate))
        run = {"seconds": seconds, "interval_us": interval, "packets_per_s": rate, "settle_ms": SETTLE_MS}
        report = self._say(run)
        summary, streams = report_from_json(report)
        return Outcome(rate, summary, totals(streams))

    def _say(self, document: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        reply: dict[str, Any] = json.loads(self._process.stdout.readline() or '{"error": "the generator ended"}')
        if "error" in reply:
            raise RuntimeError(f"load generator: {reply['error']}")
        return reply


@contextlib.contextmanager
def generator(place: Place, streams: Sequence[StreamConfig], cpu: int) -> Iterator[Generator]:
    command = [sys.executable, "-W", "ignore", "-m", "kernels.load"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = Generator(process, len(streams))
            made._say({**place.load(streams), "cpu": cpu})
            yield made
        finally:
            process.terminate()
