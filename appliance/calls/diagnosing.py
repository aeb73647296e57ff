"""Gathers what `appliance.diagnosis` looks at: a call's view, its keys, and the datagrams that its worker kept.

The keys go into the diagnosis and nowhere else; what comes out are findings.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.calls.media import Address, LegMedia, StreamMedia
from appliance.calls.registry import Branch, Call
from appliance.calls.snapshots import Readings, Snapshots
from appliance.calls.views import StreamView
from appliance.diagnosis.facts import CallFacts, LegFacts, Sample, StreamFacts
from appliance.placement.placed import PlacedStream


def gather(call: Call, snapshots: Snapshots, clock: Callable[[], int] = time.monotonic_ns) -> CallFacts:
    """The call as it is now; `clock` is CLOCK_MONOTONIC in nanoseconds."""
    now = clock()
    view, readings = snapshots.call(call), snapshots.readings
    streams: list[StreamFacts] = []
    views = iter(view.streams)
    for branch in call.branches:
        placement = branch.placement
        for line, media in branch.own_media.items():
            if placement is not None and line in placement.streams:
                streams.append(_stream(branch, line, media, next(views), placement.streams[line], readings, now))
    worker = readings.worker(view.worker) if view.worker >= 0 else None
    return CallFacts(
        view,
        streams,
        worker_state=str(worker.state) if worker else "none",
        heartbeat_age_s=max(0.0, (now - worker.heartbeat_ns) / 1e9) if worker else 0.0,
    )


def _stream(
    branch: Branch, line: int, media: StreamMedia, view: StreamView, placed: PlacedStream, readings: Readings, now: int
) -> StreamFacts:
    formats = branch.negotiation.payload_types(line) if branch.negotiation else ()
    a, b = (
        _leg(side, branch, line, leg, view, placed, readings, now) for side, leg in (("a", media.a), ("b", media.b))
    )
    return StreamFacts(view, a, b, formats)


def _leg(
    side: str, branch: Branch, line: int, media: LegMedia, view: StreamView, placed: PlacedStream, readings: Readings,
    now: int,
) -> LegFacts:  # fmt: skip
    worker, flows = placed.placement.worker, placed.flows
    rtp = flows.get(f"{side}_rtp")
    rtcp = None if media.mux else flows.get(f"{side}_rtcp")
    slots = {slot for slot in (rtp, rtcp) if slot is not None}
    samples = [
        Sample(
            rtcp_port=sample.flow == rtcp,
            drop=sample.drop,
            kind=sample.kind,
            age_s=max(0.0, (now - sample.received_ns) / 1e9),
            source=Address(*sample.source) if sample.source else None,
            length=sample.length,
            data=sample.data,
        )
        for sample in readings.samples(worker, slots)
    ]
    earlier = branch.earlier.get((line, side))
    shown = view.a if side == "a" else view.b
    return LegFacts(side, shown, media, samples, (earlier,) if earlier else (), _age(readings, worker, rtp, now))


def _age(readings: Readings, worker: int, slot: int | None, now: int) -> float | None:
    """Seconds since the last packet that a flow accepted."""
    try:
        last = readings.flow(worker, slot).last_packet_ns if slot is not None else 0
    except (LookupError, OSError):
        return None
    return max(0.0, (now - last) / 1e9) if last else None
