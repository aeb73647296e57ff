"""Streams that share a port on a leg (BUNDLE, RFC 9143): their flows, and the routes by which arrivals are told apart.
Pure.

The carrier's flow has the port; the others' are members of it, whatever ports they were placed at (those are theirs
again when the group ends). A carrier whose own m-line has ended has no route: it is only the port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from appliance.calls.media import Bundled, StreamMedia
from appliance.errors import InvalidRequest
from appliance.placement.desired_state import Desired
from appliance.placement.placed import PlacedStream
from kernels.control.commands import InstallRoutes, Route


def bundled(state: Desired, streams: Mapping[int, StreamMedia], placed: Mapping[int, PlacedStream]) -> Desired:
    """The state with members in place of flows of their own, behind all others (a member needs its port).
    InvalidRequest: a member without its carrier."""
    flows, members = dict(state.flows), {}
    routes: dict[int, list[Route]] = {}
    extension: dict[int, int] = {}
    for line, media in streams.items():
        for side in ("a", "b"):
            bundle = media.leg(side).bundle
            if bundle is None:
                continue
            slot = placed[line].flows[f"{side}_rtp"]
            carrier = _carrier(side, line, bundle, streams, placed)
            if bundle.member:
                port = flows[carrier]
                members[slot] = replace(flows.pop(slot), interface=port.interface, port=port.port, member=True)
            if bundle.mid or bundle.payload_types:
                routes.setdefault(carrier, []).append(Route(slot, bundle.payload_types, bundle.mid))
                extension[carrier] = extension.get(carrier, 0) or bundle.extension
    if not routes:
        return state
    tables = {slot: InstallRoutes(slot, tuple(found), extension[slot]) for slot, found in routes.items()}
    return replace(state, flows={**flows, **members}, routes=tables)


def _carrier(
    side: str, line: int, bundle: Bundled, streams: Mapping[int, StreamMedia], placed: Mapping[int, PlacedStream]
) -> int:
    """The slot of its flow."""
    there = streams.get(bundle.carrier)
    of_carrier = there.leg(side).bundle if there else None
    if bundle.member == (bundle.carrier == line) or of_carrier is None or of_carrier.member:
        raise InvalidRequest(f"stream {line} has no carrier", "bundle")
    return placed[bundle.carrier].flows[f"{side}_rtp"]
