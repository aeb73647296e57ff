"""One target, many inputs: what escapes, and how long the slowest takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.targets import Target

SLOW_MS = 10.0  # CPU time of one message
REPEATS = 4  # of a slow input: the machine is shared, the quickest of them counts
MOST_FINDINGS = 20


@dataclass
class Figures:
    """What came of a run. `findings`: (what, input)."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    slowest: bytes = b""
    cpu_s: float = 0.0
    findings: list[tuple[str, bytes]] = field(default_factory=list)

    def judge(self, target: Target, data: bytes) -> None:
        """One input."""
        took = self._call(target, data, count=True)
        if took > SLOW_MS:
            took = min(took, *(self._call(target, data, count=False) for _ in range(REPEATS)))
        if took > self.slowest_ms:
            self.slowest_ms, self.slowest = took, data

    def _call(self, target: Target, data: bytes, *, count: bool) -> float:
        """CPU time in milliseconds, for each message of the input."""
        result, found, began = None, "", time.thread_time_ns()
        try:
            result = target.run(data)
        except target.documented:
            self.refused += count
        except Exception as error:
            found = _words(error)
        took = (time.thread_time_ns() - began) / 1e6
        if result is not None and count:
            self.accepted += 1
            found = self._check(target, data, result)
        if found and count and len(self.findings) < MOST_FINDINGS:
            self.findings.append((found, data))
        self.inputs += count
        self.cpu_s += took / 1e3
        return took / target.messages

    def _check(self, target: Target, data: bytes, result: object) -> str:
        try:
            target.check(data, result)
        except Exception as error:
            return f"afterwards {_words(error)}"
        return ""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:100]}"


def drive(target: Target, inputs: int, seed: int, seconds: float = float("inf")) -> Figures:
    """So many inputs, or as many as the CPU time allows."""
    figures, source = Figures(target.name), Random(f"{target.name} {seed}")
    for data in target.corpus.seeds:
        figures.judge(target, data)
    while figures.inputs < inputs and figures.cpu_s < seconds:
        figures.judge(target, target.corpus.next(source))
    return figures
