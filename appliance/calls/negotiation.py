"""One call's offer/answer state (RFC 3264 between two legs), sans-I/O. See docs/architecture.md "negotiation (pure)
<-> calls".

    read_offer:   parse -> decide every m-line (negotiation_read)
    write_offer:  our answer's keys, our offer's keys (negotiation_keys) -> SDP for the other side (negotiation_write)
    answer:       parse -> match with what was offered -> SDP for the side that offered

Seams for what comes next: profiles are rows of protocols.sdp.profiles; the key exchange of a line is decided in one
place (`negotiation_read._crypto`) and leaves a `LegLine`, which alone makes contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_read as reading
from appliance.calls import negotiation_record as record_form
from appliance.calls.media import LocalPorts, StreamMedia, StreamPlacement
from appliance.calls.negotiation_keys import KeySource
from appliance.calls.negotiation_read import LinePlan
from appliance.calls.negotiation_state import SIDES, CallState, LegLine, OriginState, Quirks, StreamLine, other
from appliance.calls.negotiation_write import OutLine, out_line, write
from appliance.errors import CryptoRequired, InvalidRequest, NotAcceptable
from appliance.policy import suites as suite_policy
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.parse import parse


@dataclass(frozen=True, slots=True)
class StreamNeed:
    """One m-line that needs ports on both legs. `a` and `b` are interface names; leg a is always the side that made
    the call's first offer, also when leg b re-offers, so a placement made once stays right. `line` (index of the
    m-line) identifies the stream for the life of the call: keep placements by it. Place RTP and RTCP on both legs,
    whatever mux says."""

    line: int
    kind: str
    interface_a: str
    interface_b: str


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """What an offer comes to: `streams` need a placement each, in this order. Empty never (that is NotAcceptable)."""

    offerer: str  # "a" or "b"
    streams: tuple[StreamNeed, ...]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The SDP for the other side, and the desired media of every live stream. A line that is missing was refused or
    ended: its ports and contexts may go. Secure legs whose keys are not known yet have secure=True and no contexts."""

    sdp: bytes = field(repr=False)  # holds keys
    lines: tuple[int, ...]  # m-line of each stream
    streams: tuple[StreamMedia, ...]


@dataclass(frozen=True, slots=True)
class _Planned:
    plan: OfferPlan
    offer: Description
    options: MediaOptions
    lines: list[LinePlan]
    from_tag: str


class Negotiation:
    """Offer/answer for one call. Not thread safe. A refused call of a method leaves the state as it was."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """`random(n)` gives n unpredictable octets (os.urandom)."""
        self._random = random
        self._state = CallState()
        self._planned: _Planned | None = None

    def read_offer(self, sdp: bytes, options: MediaOptions, from_tag: str = "") -> OfferPlan:
        """Parse and decide; changes nothing yet. `from_tag` tells on re-offers which leg speaks. InvalidSdp,
        NotAcceptable."""
        side = self._side(from_tag)
        offer = parse(sdp)
        lines = reading.plan(offer, options, self._state.lines, side, self._our_keys())
        needs = tuple(self._need(at, line, options, side) for at, line in enumerate(lines) if not line.refusal)
        plan = OfferPlan(side, needs)
        self._planned = _Planned(plan, offer, options, lines, from_tag)
        return plan

    def write_offer(self, plan: OfferPlan, ports: Sequence[StreamPlacement]) -> Negotiated:
        """Carry out the plan of the last read_offer: `ports` in the order of plan.streams, their `address` as it is
        to stand in SDP. ValueError when the plan is an old one or a placement is missing."""
        planned = self._planned
        if planned is None or plan is not planned.plan or len(ports) != len(plan.streams):
            raise ValueError("write_offer needs the plan of the last read_offer and one placement per stream")
        side = plan.offerer
        draw = KeySource(self._random, self._our_keys())
        placed = {need.line: place for need, place in zip(plan.streams, ports, strict=True)}
        pending = tuple(
            self._pending(at, line, planned.options, side, placed.get(at), draw)
            for at, line in enumerate(planned.lines)
        )
        outgoing = [
            self._outgoing(media, line, other(side), planned_line.endpoint)
            for media, line, planned_line in zip(planned.offer.media, pending, planned.lines, strict=True)
        ]
        sdp, origin = self._write(planned.offer, outgoing, planned.options, other(side))
        first = not self._state.tag_a
        self._state = replace(
            self._state, pending=pending, offerer=side,
            tag_a=planned.from_tag if first else self._state.tag_a,
        ).with_origin(other(side), origin)  # fmt: skip
        self._planned = None
        return _negotiated(sdp, self._until_answered(pending))

    def answer(
        self, sdp: bytes, options: MediaOptions, ports: Sequence[StreamPlacement] = (), to_tag: str = ""
    ) -> Negotiated:
        """The other side's answer to the last write_offer. `ports` may be left out (those of write_offer hold). May
        be called again with another `to_tag` (fork: the newest answer's keys replace the branch's). InvalidSdp,
        NotAcceptable."""
        state = self._state
        if not state.pending:
            raise InvalidRequest("answer without an offer")
        answerer = other(state.offerer)
        answer = parse(sdp)
        pending = _placed_anew(state.pending, ports)
        sections = [answer.media[at] if at < len(answer.media) else None for at in range(len(pending))]
        lines, outgoing, used = [], [], self._our_keys()
        for at, (line, media) in enumerate(zip(pending, sections, strict=True), 1):
            agreed, endpoint = _answered(at, line, answer, media, answerer, options, used)
            agreed = _spending(agreed, state.lines[at - 1] if at <= len(state.lines) else None, answerer)
            lines.append(agreed)
            outgoing.append(self._outgoing(media, agreed, state.offerer, endpoint))
        text, origin = self._write(answer, outgoing, options, state.offerer)
        tags = state.tags_b
        if state.offerer == "a" and to_tag:
            tags = (*(tag for tag in tags if tag != to_tag), to_tag)
        answered = replace(state, lines=tuple(lines), tags_b=tags)
        self._state = answered.with_origin(state.offerer, origin)
        return _negotiated(text, lines)

    def to_record(self) -> dict[str, Any]:
        """JSON-compatible; contains keys, so the store must wrap it."""
        return record_form.to_record(self._state)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], random: Callable[[int], bytes]) -> Negotiation:
        """A negotiation that goes on where `to_record` was taken. ValueError for a record of another form."""
        negotiation = cls(random)
        negotiation._state = record_form.from_record(record)
        return negotiation

    def payload_types(self, line: int) -> tuple[int, ...]:
        """Payload types of an m-line as offered last, in order; empty: not known."""
        lines = self._state.lines or self._state.pending
        words = lines[line].offered.split()[3:] if line < len(lines) else []
        return tuple(int(word) for word in words if word.isdecimal() and len(word) < 4)

    def _side(self, from_tag: str) -> str:
        """Leg a is who offered first. Leg b is known by its tags; an unknown tag after an answer is b's too (a
        transfer)."""
        state = self._state
        if not from_tag or from_tag == state.tag_a or not state.tag_a:
            return "a"
        return "b" if from_tag in state.tags_b or state.lines else "a"

    def _our_keys(self) -> set[bytes]:
        """Every key that this call has sent out."""
        return {
            key.material
            for lines in (self._state.lines, self._state.pending)
            for line in lines
            for side in SIDES
            for crypto in line.leg(side).proposed
            for key in crypto.keys
        }

    def _before(self, at: int, side: str) -> StreamLine | None:
        """The line as agreed; before any answer, as offered last by the same side (a repeated or forked offer keeps
        its keys)."""
        state = self._state
        if at < len(state.lines) and state.lines[at].live:
            return state.lines[at]
        if not state.lines and state.offerer == side and at < len(state.pending) and state.pending[at].live:
            return state.pending[at]
        return None

    def _need(self, at: int, line: LinePlan, options: MediaOptions, side: str) -> StreamNeed:
        before = self._before(at, side)
        wished = {side: options.interface_a, other(side): options.interface_b}
        a, b = (wished[leg] or (before.leg(leg).interface if before else "") for leg in SIDES)
        return StreamNeed(at, line.kind, a, b)

    def _pending(
        self, at: int, line: LinePlan, options: MediaOptions, side: str, place: StreamPlacement | None, draw: KeySource
    ) -> StreamLine:
        if place is None or line.endpoint is None or line.target is None:
            refused = LegLine(line.proto, direction="inactive")
            return StreamLine(line.kind, line.offered, refused, refused)
        before = self._before(at, side)
        need = self._need(at, line, options, side)
        interfaces = {"a": need.interface_a, "b": need.interface_b}
        moved = {leg: before is None or _ports(before.placement, leg) != _ports(place, leg) for leg in SIDES}
        old = {leg: before.leg(leg) if before and not moved[leg] else None for leg in SIDES}
        theirs, ours = other(side), side
        legs = {
            ours: _offerers_leg(line, options, interfaces[ours], old[ours], draw),
            theirs: _others_leg(
                line, options, interfaces[theirs], before.leg(theirs) if before else None, old[theirs], draw
            ),
        }
        return StreamLine(line.kind, line.offered, legs["a"], legs["b"], place)

    def _until_answered(self, pending: Sequence[StreamLine]) -> list[StreamLine]:
        """Agreed streams go on unchanged until the answer, also those that the re-offer ends: it may yet be refused."""
        agreed = self._state.lines
        return [
            replace(agreed[at], placement=line.placement or agreed[at].placement)
            if at < len(agreed) and agreed[at].live
            else line
            for at, line in enumerate(pending)
        ]

    def _outgoing(self, media: Media | None, line: StreamLine, side: str, endpoint: reading.Endpoint | None) -> OutLine:
        ports = _ports(line.placement, side)
        zero = endpoint is not None and endpoint.zero
        direction = endpoint.direction if endpoint else ""
        return out_line(media, line, side, ports, zero=zero, direction=direction)

    def _write(
        self, base: Description, lines: list[OutLine], options: MediaOptions, side: str
    ) -> tuple[bytes, OriginState]:
        origin = self._state.origin(side)
        session_id = (
            0 if origin.version else int.from_bytes(self._random(8), "big") >> 2
        )  # RFC 8866: fits a 63-bit number
        return write(base, lines, options, origin, session_id)


def _offerers_leg(
    line: LinePlan, options: MediaOptions, interface: str, old: LegLine | None, draw: KeySource
) -> LegLine:
    """The leg that offered: its keys are known, ours answer them (and stay while theirs do)."""
    assert line.endpoint is not None
    sdes = reading.this_side(options)
    local, sending_mki = None, b""
    if line.crypto is not None:
        unchanged = old is not None and old.remote is not None and keys.same_keys(old.remote, line.crypto)
        local = keys.reply(line.crypto, sdes, draw, old.local if old and unchanged else None)
        sending_mki = old.sending_mki if old and unchanged else b""
    return LegLine(
        proto=line.proto,
        interface=interface,
        rtp=line.endpoint.rtp,
        rtcp=line.endpoint.rtcp,
        mux=line.endpoint.mux and "reject" not in options.rtcp_mux,
        direction=line.endpoint.direction,
        proposed=(local,) if local else (),
        local=local,
        sending_mki=sending_mki,
        remote=line.crypto,
        latching=options.latching,
        quirks=Quirks.of(sdes),
    )


def _others_leg(
    line: LinePlan, options: MediaOptions, interface: str, before: LegLine | None, old: LegLine | None, draw: KeySource
) -> LegLine:
    """The leg that we offer to. `before`: what is known of it; `old`: the same unless our own ports moved (then new
    keys)."""
    assert line.target is not None and line.endpoint is not None
    proposed: tuple[Crypto, ...] = ()
    if line.target.secure:
        theirs = {line.crypto.suite.name} if line.crypto and line.crypto.suite else set()
        wanted = suite_policy.offered(options.sdes, options.outbound, theirs)
        if not wanted:
            raise NotAcceptable("the options leave no crypto suite to offer")
        proposed = keys.propose(wanted, options.sdes, draw, old.unspent if old else ())
    words = options.rtcp_mux
    mux = bool(words & {"offer", "require"}) or (line.endpoint.mux and not words & {"demux", "reject"})
    return LegLine(
        proto=line.target.token,
        interface=interface,
        rtp=before.rtp if before else None,
        rtcp=before.rtcp if before else None,
        mux=mux,
        mux_required="require" in words,
        direction=before.direction if before else "sendrecv",
        proposed=proposed,
        sending_mki=old.sending_mki if old else b"",
        latching=options.latching,
        quirks=Quirks.of(options.sdes),
    )


def _answered(
    at: int,
    line: StreamLine,
    answer: Description,
    media: Media | None,
    side: str,
    options: MediaOptions,
    used: set[bytes],
) -> tuple[StreamLine, reading.Endpoint | None]:
    """One m-line after its answer; placement None when either side refused it."""
    if not line.live or media is None or media.media.port == 0:
        return replace(line, placement=None), None
    leg = line.leg(side)
    _check_answered(at, line, leg, media)
    endpoint = reading.endpoint(answer, media, options)
    local = remote = None
    if leg.secure:
        try:
            local, remote = keys.match(media.attributes("crypto"), leg.proposed, _accepting(leg, options), used)
        except keys.NoKey as why:
            raise CryptoRequired(f"answer, m-line {at}: {why}") from None
    leg = replace(
        leg, rtp=endpoint.rtp, rtcp=endpoint.rtcp, mux=leg.mux_required or (leg.mux and endpoint.mux),
        direction=endpoint.direction, local=local, remote=remote,
    )  # fmt: skip
    return line.with_leg(side, leg), endpoint


def _spending(line: StreamLine, before: StreamLine | None, side: str) -> StreamLine:
    """A key of ours that was in use and is left for another is never offered again: its packet indices would start
    anew under the same key (two-time pad, RFC 3711 section 9.1)."""
    left, leg = before.leg(side) if before else None, line.leg(side)
    if left is None or not line.live:
        return line
    changed = left.local is not None and (leg.local is None or leg.local.keys != left.local.keys)
    spent = left.spent | {keys.fingerprint(left.local)} if changed and left.local else left.spent
    return line.with_leg(side, replace(leg, spent=spent))


def _accepting(leg: LegLine, options: MediaOptions) -> SdesOptions:
    """How to read the answer's lines: what was offered is settled, only leniency counts."""
    return replace(reading.this_side(options), window=leg.quirks.window)


def _check_answered(at: int, line: StreamLine, leg: LegLine, media: Media) -> None:
    if media.media.kind != line.kind:
        raise NotAcceptable(f"answer, m-line {at} is {media.media.kind} where {line.kind} was offered")
    profile = profiles.find(media.media.proto)
    if profile is None or profile.dtls:
        raise NotAcceptable(f"answer, m-line {at}: {media.media.proto} was not offered")
    if leg.secure and not profile.secure:
        raise CryptoRequired(
            f"answer, m-line {at}: SRTP was offered, the answer is {media.media.proto}"
        )  # downgrade: C3
    if profile.secure and not leg.secure:
        raise NotAcceptable(f"answer, m-line {at}: RTP was offered, the answer is {media.media.proto}")


def _placed_anew(pending: tuple[StreamLine, ...], ports: Sequence[StreamPlacement]) -> tuple[StreamLine, ...]:
    live = [at for at, line in enumerate(pending) if line.live]
    if not ports:
        return pending
    if len(ports) != len(live):
        raise ValueError("answer needs one placement per stream of the offer, or none")
    placed = dict(zip(live, ports, strict=True))
    return tuple(replace(line, placement=placed[at]) if at in placed else line for at, line in enumerate(pending))


def _ports(place: StreamPlacement | None, side: str) -> LocalPorts | None:
    if place is None:
        return None
    return place.a if side == "a" else place.b


def _negotiated(sdp: bytes, lines: Sequence[StreamLine]) -> Negotiated:
    live = [(at, line) for at, line in enumerate(lines) if line.live]
    return Negotiated(sdp, tuple(at for at, _ in live), tuple(line.media() for _, line in live))
