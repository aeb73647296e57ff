"""What an offer makes of each of its streams on both legs, until it is answered. Part of `negotiation`, and as pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_legs as legs
from appliance.calls import negotiation_numbers as numbers
from appliance.calls import negotiation_shared as sharing
from appliance.calls import negotiation_transcode as transcode
from appliance.calls.media import LocalPorts, StreamPlacement
from appliance.calls.negotiation_keys import KeySource
from appliance.calls.negotiation_legs import Before
from appliance.calls.negotiation_read import LinePlan, Reading
from appliance.calls.negotiation_state import SIDES, CallState, LegLine, StreamLine, other
from appliance.calls.negotiation_target import Target
from appliance.calls.negotiation_together import barred
from appliance.calls.negotiation_transport import Transports
from appliance.policy.options import MediaOptions
from appliance.protocols.sdp.description import Media


class Offering:
    """`add` every stream of the offer in order; `streams` and `sources` say what they come to: the streams, and the
    section to write of each (None: the offer has no such m-line)."""

    def __init__(
        self,
        state: CallState,
        read: Reading,
        options: MediaOptions,
        side: str,
        draw: KeySource,
        transports: Mapping[str, Transports],
    ) -> None:
        """`side` offers; `transports` are for what is new on each leg."""
        self._state, self._options, self._side, self._far = state, options, side, other(side)
        self._draw, self._transports = draw, transports
        self._carried = sharing.ports(*read.bundles(), state.known, side)
        browsers = any(line and line.target and line.target.profile.dtls for line in read.lines)
        self._mid_extension = _mid_extension(state, read, self._far) if browsers else 0
        self._lines: list[StreamLine] = []
        self.sources: list[Media | None] = []

    def streams(self) -> list[StreamLine]:
        return sharing.carried(sharing.shared(self._lines, self._carried, self._side))

    def add(self, plan: LinePlan | None, place: StreamPlacement | None) -> None:
        """The next stream; without a place it is refused, or ended."""
        if place is None or plan is None or plan.target is None:
            line, source = self._ended(plan), plan.source if plan else None
        else:
            line, source = self._offered(len(self._lines), plan, plan.target, place)
        self._lines.append(line)
        self.sources.append(source)

    def _ended(self, plan: LinePlan | None) -> StreamLine:
        stream, agreed = len(self._lines), self._state.agreed.lines
        known = agreed[stream] if stream < len(agreed) else None
        kind = plan.kind if plan else known.kind if known else ""
        refused = LegLine(plan.proto if plan else "", direction="inactive")
        return StreamLine(kind, refused, refused, kept=(known.placement or known.kept) if known else None)

    def _offered(
        self, stream: int, plan: LinePlan, target: Target, place: StreamPlacement
    ) -> tuple[StreamLine, Media | None]:
        state, options, side, far = self._state, self._options, self._side, self._far
        before, port = state.before(stream, side), self._carried.get(stream)
        wished = interfaces(state, stream, options, side)
        was = _before(before, place)
        if before and not sharing.stays(before.leg(side), stream, port):
            was[side] = replace(was[side], fixed=False)
        transport = was[side]
        if port and stream == port.tagged and port.known not in (None, stream):
            transport = Before(state.known.lines[port.known or 0].leg(side), fixed=True)
        grouped = target.profile.dtls and bundle.offers(options, target.profile.token)
        if before and not grouped and not sharing.stays(before.leg(far), stream, None):
            was[far] = replace(was[far], fixed=False)
        said = numbers.offered(
            plan.source, was[side].leg, was[far].leg,
            self._numbers(stream) if grouped else {}, self._mid_extension if grouped else 0,
            barred(plan.both),
        )  # fmt: skip
        own = legs.offerers(plan, options, wished[side], was[side], self._draw, said)
        theirs = legs.others(plan, target, options, wished[far], was[far], self._draw, said)
        if plan.transcoding:
            said = replace(said, source=transcode.extended(said.source, plan.transcoding))
            numbered = transcode.known(theirs.known, plan.transcoding)
            theirs = replace(theirs, transcoding=plan.transcoding, known=numbered)
        shared = sharing.carries(state.known, stream, far) if grouped else None
        own = self._transports[side].offerers(own, plan, options, transport)
        theirs = self._transports[far].others(
            stream, theirs, plan, target, options, Before(shared, fixed=True) if shared else was[far]
        )
        if plan.alone is not None and was[side].leg is None:
            apart = legs.offerers(plan.alone, options, wished[side], was[side], self._draw, said)
            own = replace(own, apart=self._transports[side].offerers(apart, plan.alone, options, was[side]))
        if grouped and (before is not None or shared is not None):
            theirs = replace(theirs, carrier=stream if before is None else before.leg(far).carrier)
        made = {side: own, far: theirs}
        return StreamLine(plan.kind, made["a"], made["b"], place), said.source

    def _numbers(self, stream: int) -> dict[str, str]:
        """Payload types that other streams of the other leg have by now."""
        known = self._state.known.lines
        others = [*self._lines[:stream], *(line for at, line in enumerate(known) if at != stream and line.live)]
        return {number: codec for line in others for number, codec in line.leg(self._far).known}


def interfaces(state: CallState, stream: int, options: MediaOptions, side: str) -> dict[str, str]:
    """By leg: the one that `side` wishes for, or that the stream has."""
    before = state.before(stream, side)
    wished = {side: options.interface_a, other(side): options.interface_b}
    return {leg: wished[leg] or (before.leg(leg).interface if before else "") for leg in SIDES}


def ports_of(place: StreamPlacement | None, side: str) -> LocalPorts | None:
    return place.leg(side) if place else None


def _before(line: StreamLine | None, place: StreamPlacement) -> dict[str, Before]:
    if line is None:
        return {leg: Before() for leg in SIDES}
    return {leg: Before(line.leg(leg), ports_of(line.placement, leg) == ports_of(place, leg)) for leg in SIDES}


def _mid_extension(state: CallState, read: Reading, side: str) -> int:
    """The id that MID gets in an offer to a leg: the one it has there, else the other leg's, else one that no m-line of
    either has: ids mean the same in all of a group (RFC 9143 section 15.2)."""
    known = [pair for line in state.known.lines for pair in line.leg(side).ids]
    return bundle.extension_offered(known, [line.source for line in read.lines if line])
