"""Overload: what is answered at five times the rate that can be (row K10), as a share of the peak."""

from __future__ import annotations

from pathlib import Path

from tests.load import sipp_load, stacks

HOLD_MS = 500
FACTOR = 5


def run(place: Path, start: int, seconds: int) -> str:
    """Find the peak by steps of a quarter, then offer FACTOR times as much."""
    with stacks.ours(place / "ours") as stack, sipp_load.callee(place / "ours", stacks.CALLEE_PORT):
        peak, rate = 0.0, start
        while True:
            found = sipp_load.calls(place / "ours", stack.target, rate, seconds, HOLD_MS, patience_s=10)
            print(f"offered {rate}/s: {found.rate:.0f}/s good, {found.failed} failed", flush=True)
            if found.rate <= peak * 1.02:
                break
            peak, rate = max(peak, found.rate), rate * 5 // 4
        much = round(peak * FACTOR)
        over = sipp_load.calls(place / "ours", stack.target, much, seconds, HOLD_MS, patience_s=10)
        return (
            f"peak {peak:.0f} calls/s; offered {much}/s: {over.rate:.0f}/s good ({over.rate / peak:.0%} of peak), "
            f"{over.failed} refused or failed"
        )
