"""Table (e): memory per call, and how many calls are set up per second: both are of the control plane."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from kernels.control.arena import footprint
from tests.bench.calls import set_up, tear_down
from tests.bench.places import Loopback, Place, no_veth, veth
from tests.bench.plan import RTP_SDES, Plan
from tests.bench.results import Chart, Table, middle, over
from tests.bench.session import FAILURES, Session, session
from tests.bench.subjects import REFERENCE, RTPENGINE, port_kinds

OURS = "srtpgw"
COLUMNS = ("gateway", "control, octets a call", "arena", "worker beside it", "together, KiB", "to rtpengine",
           "set up + deleted per s", "to rtpengine")  # fmt: skip


def table(plan: Plan, only: list[str], folder: Path) -> Table:
    made = Table("memory", "RTP-SDES calls: memory, and offer + answer + delete over NG one after the other", COLUMNS)
    resident: dict[str, tuple[float, float]] = {}  # control process (rtpengine: all), worker's own
    rates: dict[str, list[float]] = {}
    names = ([OURS] if set(only) - {REFERENCE} else []) + ([REFERENCE] if REFERENCE in only and RTPENGINE else [])
    with contextlib.ExitStack() as stack:
        place: Place = Loopback(folder) if no_veth() else stack.enter_context(veth(folder, plan.gateway_cpu))
        for name in names:
            try:
                resident[name], rates[name] = _measure(plan, place, name, folder)
            except FAILURES as error:
                made.faults.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    arena = (footprint(1, 2000, 0) - footprint(1, 1000, 0)) / 1000
    whole = {name: (sum(octets) + (arena if name == OURS else 0.0)) / 1024 for name, octets in resident.items()}
    for name, (octets, private) in resident.items():
        reference = over(whole[name], whole.get(REFERENCE)) if name == OURS else None
        ratio = over(middle(rates[name]), middle(rates.get(REFERENCE, []))) if name == OURS else None
        made.rows.append((
            name, f"{octets:,.0f}", f"{arena:,.0f}" if name == OURS else None, f"{private:,.0f}", f"{whole[name]:.1f}",
            None if reference is None else f"{reference:.2f}", f"{middle(rates[name]) or 0:,.0f}",
            None if ratio is None else f"{ratio:.2f}",
        ))  # fmt: skip
        if name == OURS:
            made.figures["memory"] = whole[name]
            made.figures.update({"set_ups": ratio} if ratio is not None else {})
    made.raw = {"resident_octets_per_call": resident, "arena_octets_per_call": arena, "set_ups_per_s": rates}
    made.charts = [Chart("memory per call", list(resident), {
        "process": [octets / 1024 for octets, _ in resident.values()],
        "worker": [private / 1024 for _, private in resident.values()],
        "arena": [arena / 1024 if name == OURS else 0.0 for name in resident],
    }, "KiB")]  # fmt: skip
    return made


def _measure(plan: Plan, place: Place, name: str, folder: Path) -> tuple[tuple[float, float], list[float]]:
    """((control's octets per call, the worker's own), calls set up and deleted per second in each round)."""
    room = folder / f"memory-{name}"
    room.mkdir(parents=True, exist_ok=True)
    kind = port_kinds()[0] if name == OURS else name
    with session(plan, place, RTP_SDES, kind, room, plan.memory_calls + plan.set_ups * plan.set_up_rounds) as one:
        one.call(min(100, plan.memory_calls // 2))  # what a first call alone costs belongs to no call
        one.call(plan.memory_calls - min(100, plan.memory_calls // 2))
        return (one.resident_per_call, one.private_per_call), [
            _set_ups(plan, one, turn) for turn in range(plan.set_up_rounds)
        ]


def _set_ups(plan: Plan, one: Session, turn: int) -> float:
    """No media flows: the ports of the endpoints are only words in SDP here."""
    begin = time.perf_counter()
    for number in range(plan.set_ups):
        call = set_up(one.subject.client, one.place, one.scenario, number, prefix=f"rate{turn}")
        tear_down(one.subject.client, call.call_id)
    return plan.set_ups / (time.perf_counter() - begin)
