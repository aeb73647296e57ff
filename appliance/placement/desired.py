"""What a worker should hold for the streams of a branch. Pure.

A stream has up to four flows (`desired_flows`) and the contexts they use (`desired_contexts`); the flows of streams
that are copies of others are chained to those whose packets they get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from appliance.calls.media import StreamMedia, StreamPlacement
from appliance.errors import InvalidRequest, NoCapacity
from appliance.placement.desired_bundle import bundled
from appliance.placement.desired_contexts import cryptos
from appliance.placement.desired_flows import agents, flow_of, flows
from appliance.placement.desired_state import Desired, merge
from appliance.placement.placed import PlacedStream
from kernels.control.commands import MOST_TAPS


def desired_of(streams: Mapping[int, StreamMedia], placed: Mapping[int, PlacedStream]) -> Desired:
    """`desired` of all streams of a branch, by m-line, with the chains of those that are copies of others. NoCapacity,
    InvalidRequest."""
    state = merge([desired(media, placed[line]) for line, media in streams.items()])
    if any(media.a.bundle or media.b.bundle for media in streams.values()):
        state = bundled(state, streams, placed)
    taps = {line: media for line, media in streams.items() if media.copies_of in streams}
    for media in taps.values():  # a copy that comes back in would be copied again
        _refuse_loop(media, *(one.placement for one in placed.values()))
    return _chained(state, streams, placed, taps) if taps else state


def desired(media: StreamMedia, placed: PlacedStream) -> Desired:
    """What the worker should hold. Every needed slot must have been taken. InvalidRequest: keys that do not fit
    the suite, or media that would go round in circles."""
    _refuse_loop(media, placed.placement)
    return Desired(cryptos(media, placed.cryptos), flows(media, placed), agents(media, placed))


def _chained(
    state: Desired,
    streams: Mapping[int, StreamMedia],
    placed: Mapping[int, PlacedStream],
    taps: Mapping[int, StreamMedia],
) -> Desired:
    """Each flow names the first of its taps, each tap the next and whom it follows (kernels/flow/copies.pxd). Taps
    that have nowhere to send to yet stay outside. NoCapacity: more taps than the packet path walks along."""
    flows = dict(state.flows)
    ends: dict[tuple[int, str, str], tuple[int, int]] = {}  # source: last flow of its chain, taps in it
    for line, media in taps.items():
        source = media.copies_of
        for side, leg in (("a", media.a), ("b", media.b)):
            if source is None or not leg.interface or leg.remote_rtp is None:
                continue
            heard = streams[source].leg(side)
            for kind in ("rtp", "rtcp"):
                before, count = ends.get((source, side, kind), (placed[source].flows[flow_of(side, kind, heard)], 0))
                mine = placed[line].flows[flow_of(side, kind, leg)]
                if count == MOST_TAPS:
                    raise NoCapacity("as many subscribers as one party can have")
                tap, follows = ("rtp_tap", "rtp_partner") if kind == "rtp" else ("rtcp_tap", "rtcp_partner")
                flows[before] = replace(flows[before], **{tap: mine})  # type: ignore[arg-type]
                flows[mine] = replace(flows[mine], **{follows: before})  # type: ignore[arg-type]
                ends[source, side, kind] = (mine, count + 1)
    return replace(state, flows=flows)


def _refuse_loop(media: StreamMedia, *placements: StreamPlacement) -> None:
    """A leg that names one of the stream's own ports would send every packet round for ever (A13 of
    security-and-faults). Ports of another call are somebody's legitimate hairpin."""
    remotes = [
        remote
        for remote in (media.a.remote_rtp, media.a.remote_rtcp, media.b.remote_rtp, media.b.remote_rtcp)
        if remote is not None
    ]
    for local in [local for placement in placements for local in (placement.a, placement.b) if local.address]:
        for remote in remotes:
            if remote.port not in (local.rtp, local.rtcp) or remote.host != local.address:
                continue
            raise InvalidRequest(f"media address {remote} is the call's own port", "remote_rtp")
