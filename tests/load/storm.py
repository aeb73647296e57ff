"""Call storm: the highest rate of calls with SDES media at which none fails, ours and Kamailio with rtpengine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.load import sipp_load, stacks
from tests.load.sipp_load import Outcome
from tests.load.stacks import Stack

HOLD_MS = 1000


def run(place: Path, rates: Sequence[int], seconds: int, proof_s: int) -> str:
    """A table. `rates` are tried upwards for `seconds` each; the last good one is held for `proof_s`."""
    lines = [f"{'':22} {'rate':>6} {'calls':>8} {'failed':>7} {'retransmitted':>14} {'CPU ms/call':>12}"]
    best: dict[str, int] = {}
    for make in (stacks.ours, stacks.peer):
        name, found = _climb(place, make, rates, seconds, proof_s, lines)
        best[name] = found
    ours, other = best.values()
    lines.append(f"held {proof_s} s without a failed call: {ours}/s and {other}/s, ratio {ours / max(1, other):.2f}")
    return "\n".join(lines)


def _climb(place: Path, make: Callable[[Path], AbstractContextManager[Stack]], rates: Sequence[int], seconds: int,
           proof_s: int, lines: list[str]) -> tuple[str, int]:  # fmt: skip
    folder = place / make.__name__
    with make(folder) as stack, sipp_load.callee(folder, stacks.CALLEE_PORT):
        good = _until_failure(folder, stack, rates, seconds, lines)
        while good:
            if not _measure(folder, stack, good[-1], proof_s, lines).failed:
                return stack.name, good[-1]
            good.pop()
        return stack.name, 0


def _until_failure(folder: Path, stack: Stack, rates: Sequence[int], seconds: int, lines: list[str]) -> list[int]:
    good = []
    for rate in rates:
        if _measure(folder, stack, rate, seconds, lines).failed:
            break
        good.append(rate)
    return good


def _measure(folder: Path, stack: Stack, rate: int, seconds: int, lines: list[str]) -> Outcome:
    before = stack.cpu_s()
    found = sipp_load.calls(folder, stack.target, rate, seconds, HOLD_MS)
    cost = (stack.cpu_s() - before) / max(1, found.offered) * 1000
    counts = f"{found.good:>8} {found.failed:>7} {found.retransmissions:>14}"
    lines.append(f"{stack.name:22} {rate:>4}/s {counts} {cost:>12.2f}")
    print(lines[-1], flush=True)
    return found
