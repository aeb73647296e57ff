"""One call's offer/answer state (RFC 3264 between two legs), sans-I/O. See docs/architecture.md "negotiation (pure)
<-> calls".

    read_offer:   parse -> decide every m-line (negotiation_read), find the stream of each (negotiation_streams)
    write_offer:  both legs of every stream (negotiation_offering: negotiation_legs, negotiation_numbers, ...)
                  -> the other leg's m-lines -> SDP for the other side (negotiation_write)
    answer:       parse -> match with what was offered -> SDP for the side that offered, in its own m-lines

Seams for what comes next: profiles are rows of protocols.sdp.profiles; the key exchange of a line is decided in one
place (`negotiation_read._crypto`) and leaves a `LegLine`, which alone makes contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_legs as legs
from appliance.calls import negotiation_numbers as numbers
from appliance.calls import negotiation_read as reading
from appliance.calls import negotiation_record as record_form
from appliance.calls import negotiation_shared as sharing
from appliance.calls import negotiation_slots as places
from appliance.calls import negotiation_transcode as transcode
from appliance.calls.media import LegMedia, LocalPorts, StreamMedia, StreamPlacement
from appliance.calls.negotiation_dtls import Certificates
from appliance.calls.negotiation_endpoint import Endpoint
from appliance.calls.negotiation_keys import KeySource
from appliance.calls.negotiation_offering import Offering, interfaces, ports_of
from appliance.calls.negotiation_read import LinePlan, Reading
from appliance.calls.negotiation_state import SIDES, CallState, Exchange, OriginState, Slot, StreamLine, other
from appliance.calls.negotiation_transport import Transports, told
from appliance.calls.negotiation_vbr import constant
from appliance.calls.negotiation_write import OutLine, out_line, write
from appliance.errors import InvalidRequest, NotAcceptable
from appliance.policy.options import DtlsOptions, MediaOptions
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.parse import parse
from appliance.values import frozen

_NO_DTLS = DtlsOptions(enabled=False)


@frozen
class StreamNeed:
    """One stream that needs ports on both legs. `a` and `b` are interface names; leg a is always the side that made
    the call's first offer, also when leg b re-offers, so a placement made once stays right. `line` numbers the stream
    for the life of the call: keep placements by it. Place RTP and RTCP on both legs, whatever mux says."""

    line: int
    kind: str
    interface_a: str
    interface_b: str


@frozen
class OfferPlan:
    """What an offer comes to: `streams` need a placement each, in this order. Empty never (that is NotAcceptable)."""

    offerer: str  # "a" or "b"
    streams: tuple[StreamNeed, ...]


@frozen
class Negotiated:
    """The SDP for the other side, and the desired media of every live stream. A stream that is missing was refused or
    ended: its ports and contexts may go. Secure legs whose keys are not known yet have secure=True and no contexts."""

    sdp: bytes = field(repr=False)  # holds keys
    lines: tuple[int, ...]  # number of each stream
    streams: tuple[StreamMedia, ...]
    unavailable: tuple[str, ...] = ()  # wishes that this SDP cannot have fulfilled


@frozen
class _Planned:
    plan: OfferPlan
    offer: Description
    options: MediaOptions
    reading: Reading
    from_tag: str


@frozen
class _Section:
    """An answered m-line, in the offerer's numbers."""

    media: Media
    endpoint: Endpoint


class Negotiation:
    """Offer/answer for one call. Not thread safe. A refused call of a method leaves the state as it was."""

    def __init__(self, random: Callable[[int], bytes], certificates: Certificates | None = None) -> None:
        """`random(n)` gives n unpredictable octets (os.urandom); without `certificates` there is no DTLS-SRTP."""
        self._random, self._certificates = random, certificates
        self._state = CallState()
        self._planned: _Planned | None = None

    def read_offer(self, sdp: bytes, options: MediaOptions, from_tag: str = "") -> OfferPlan:
        """Parse and decide; changes nothing yet. `from_tag` tells on re-offers which leg speaks. InvalidSdp,
        NotAcceptable."""
        side = self._side(from_tag)
        offer = parse(sdp)
        if self._certificates is None:
            options = replace(options, dtls=_NO_DTLS, dtls_from=_NO_DTLS)
        read = reading.plan(offer, options, self._state.agreed, side, self._our_keys())
        needs = tuple(
            self._need(stream, line, options, side)
            for stream, line in enumerate(read.lines)
            if line and not line.refusal
        )
        plan = OfferPlan(side, needs)
        self._planned = _Planned(plan, offer, options, read, from_tag)
        return plan

    def write_offer(self, plan: OfferPlan, ports: Sequence[StreamPlacement]) -> Negotiated:
        """Carry out the plan of the last read_offer: `ports` in the order of plan.streams, their `address` as it is
        to stand in SDP. ValueError when the plan is an old one or a placement is missing."""
        planned = self._planned
        if planned is None or plan is not planned.plan or len(ports) != len(plan.streams):
            raise ValueError("write_offer needs the plan of the last read_offer and one placement per stream")
        side = plan.offerer
        transports = {leg: self._transports(leg) for leg in SIDES}
        placed = {need.line: place for need, place in zip(plan.streams, ports, strict=True)}
        draw = KeySource(self._random, self._our_keys())
        offering = Offering(self._state, planned.reading, planned.options, side, draw, transports)
        for stream, line_plan in enumerate(planned.reading.lines):
            offering.add(line_plan, placed.get(stream))
        lines, sources = offering.streams(), offering.sources
        slots = places.towards(
            self._state.agreed.slots(other(side)), planned.reading.lines, lines, sources, other(side)
        )
        sdp, origin = self._write_offer(planned, slots, lines, sources)
        pending = Exchange.of(side, tuple(lines), planned.reading.slots, slots)
        first = not self._state.tag_a
        self._state = self._state.moved(
            other(side), origin, pending=pending, offerer=side,
            tag_a=planned.from_tag if first else self._state.tag_a,
        )  # fmt: skip
        self._planned = None
        missing = dict.fromkeys(word for line in planned.reading.lines if line for word in line.unavailable)
        return _negotiated(sdp, self._until_answered(lines, side), tuple(missing))

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
        bundles = bundle.answered(answer, lambda at: sharing.able(state.pending, answerer, at))
        answer = bundle.joined(answer, bundles)
        lines, sections, taken, used = [], [], {}, self._our_keys()
        for stream, line in enumerate(_placed_anew(state.pending.lines, ports)):
            at = places.answering(answer, state.pending.slots(answerer), stream) if line.live else None
            if at is None:
                line, media = replace(line, placement=None, kept=line.placement or line.kept), None
            else:
                taken[stream] = at
                line, media = self._answered(answer, at, line, answerer, options, used)
                before = state.agreed.lines[stream] if stream < len(state.agreed.lines) else None
                line = legs.spending(line, before, answerer)
            lines.append(line)
            sections.append(media)
        lines = sharing.answered(lines, taken, [group.lines for group in bundles], answerer)
        lines = sharing.renewed(lines, state.agreed)
        slots = tuple(
            slot.now(taken=taken.get(slot.stream) == at) for at, slot in enumerate(state.pending.slots(answerer))
        )
        own = tuple(
            slot.now(taken=slot.taken and lines[slot.stream].live) for slot in state.pending.slots(state.offerer)
        )
        text, origin = self._write_answer(answer, own, lines, sections, options)
        tags = state.tags_b
        if state.offerer == "a" and to_tag:
            tags = (*(tag for tag in tags if tag != to_tag), to_tag)
        agreed = Exchange.of(state.offerer, tuple(lines), own, slots)
        self._state = state.moved(state.offerer, origin, agreed=agreed, tags_b=tags)
        return _negotiated(text, lines)

    def switch_key(self, line: int, side: str, mki: bytes) -> dict[int, StreamMedia]:
        """From now on we send towards leg `side` of that stream with another key of our line (C06); every live stream
        after that. NoKey when the line has no such key."""
        state = self._state
        agreed = state.agreed.live(line)
        leg = agreed.leg(side) if agreed else None
        if leg is None or leg.local is None:
            raise keys.NoKey("nothing is keyed by SDES there")
        keys.switched(keys.context(leg.local, leg.quirks), mki)
        self._state = replace(
            state,
            agreed=state.agreed.sending(line, side, mki),
            pending=state.pending.sending(line, side, mki),
        )
        return sharing.media(self._state.agreed.lines)

    def overlaps(self, line: int, side: str, leg: LegMedia) -> bool:
        """Whether what `leg` receives with beside its key are the peer's keys of before, and none of an offer's."""
        agreed = self._state.agreed.live(line)
        return agreed is not None and agreed.leg(side).also_contexts() == leg.receive_also != ()

    def end_overlap(self, line: int, side: str) -> None:
        """The peer uses its new key: the ones before are not taken up again (SDES-21)."""
        state = self._state
        gone = state.agreed.lines[line].leg(side).also
        self._state = replace(
            state, agreed=state.agreed.without(gone, line, side), pending=state.pending.without(gone, line, side)
        )

    def to_record(self) -> dict[str, Any]:
        """JSON-compatible; contains keys, so the store must wrap it."""
        return record_form.to_record(self._state)

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], random: Callable[[int], bytes], certificates: Certificates | None = None
    ) -> Negotiation:
        """A negotiation that goes on where `to_record` was taken. ValueError for a record of another form."""
        negotiation = cls(random, certificates)
        negotiation._state = record_form.from_record(record)
        return negotiation

    def line_of_mid(self, side: str, mid: str) -> int | None:
        """The stream whose transport an m-line of a leg's SDP has (a=mid)."""
        exchange = self._state.pending or self._state.agreed
        for at, stream in enumerate(exchange.lines):
            leg = stream.leg(side)
            if stream.live and leg.mid == mid:
                return at if leg.carrier is None else leg.carrier
        return None

    def payload_types(self, stream: int) -> tuple[int, ...]:
        """Payload types of a stream as leg a's m-line had them last, in order; empty: not known."""
        exchange = self._state.agreed or self._state.pending
        formats = [slot.media.formats for slot in exchange.slots("a") if slot.stream == stream and slot.taken]
        return tuple(int(word) for word in (formats[0] if formats else ()) if word.isdecimal() and len(word) < 4)

    def _side(self, from_tag: str) -> str:
        """Leg a is who offered first. Leg b is known by its tags; an unknown tag after an answer is b's too (a
        transfer)."""
        state = self._state
        if not from_tag or from_tag == state.tag_a or not state.tag_a:
            return "a"
        return "b" if from_tag in state.tags_b or state.agreed else "a"

    def _our_keys(self) -> set[bytes]:
        """Every key that this call has sent out."""
        return {
            key.material
            for exchange in (self._state.agreed, self._state.pending)
            for line in exchange.lines
            for side in SIDES
            for crypto in line.leg(side).proposed
            for key in crypto.keys
        }

    def _transports(self, side: str) -> Transports:
        """For what is new on a leg; its certificate stays for the life of the call."""
        known = (
            line.leg(side).dtls for exchange in (self._state.pending, self._state.agreed) for line in exchange.lines
        )
        held = next((line.certificate for line in known if line is not None), None)
        return Transports(self._random, self._certificates, held)

    def _need(self, stream: int, line: LinePlan, options: MediaOptions, side: str) -> StreamNeed:
        wished = interfaces(self._state, stream, options, side)
        return StreamNeed(stream, line.kind, wished["a"], wished["b"])

    def _until_answered(self, pending: Sequence[StreamLine], side: str) -> list[StreamLine]:
        """Agreed streams go on unchanged until the answer, also those that the re-offer ends: it may yet be refused.
        Only new keys of the offerer's are taken up at once beside the old ones (SDES-19)."""
        if not self._state.agreed:
            return sharing.one_hop(pending)
        lines = []
        for stream, line in enumerate(pending):
            agreed = self._state.agreed.live(stream)
            if agreed is not None:
                leg, new = agreed.leg(side), line.leg(side).remote
                if line.live and new is not None and line.leg(side).also and leg.remote is not None:
                    agreed = agreed.with_leg(side, replace(leg, also=(new,)))
                line = replace(agreed, placement=line.placement or agreed.placement)
            elif sharing.waits(self._state.agreed, stream, line):
                line = self._state.agreed.lines[stream]
            lines.append(line)
        return sharing.one_hop(lines)

    def _answered(
        self, answer: Description, at: int, line: StreamLine, side: str, options: MediaOptions, used: set[bytes]
    ) -> tuple[StreamLine, _Section]:
        pending = self._state.pending
        media, slot = answer.media[at], pending.slots(side)[at]
        legs.check_answered(at + 1, line, slot.media.proto, media)
        line, endpoint = legs.answered(
            at + 1, legs.chosen(line, side, slot.media.proto), answer, media, side, options, used
        )
        known, far = self._state.agreed.live(slot.stream), other(side)
        leg = self._transports(side).answered(
            at + 1, line.leg(side), known.leg(side) if known else None, answer, media, options
        )
        if (mid_extension := bundle.extension(media)) != leg.mid_extension:
            leg = replace(leg, mid_extension=mid_extension)
        line = line.with_leg(side, leg).with_leg(far, told(line.leg(far), options))
        if line.a.secure or line.b.secure:
            media, why = constant(media, options.vbr)
            if why:
                raise NotAcceptable(f"answer, m-line {at + 1}: {why}")
        own = next(one for one in pending.slots(other(side)) if one.taken and one.stream == slot.stream)
        media, line = transcode.answered(media, line, side)
        media, line = numbers.answered(media, own.media.formats, line, side)
        return line, _Section(media, endpoint)

    def _write_offer(
        self, planned: _Planned, slots: Sequence[Slot], lines: Sequence[StreamLine], sources: Sequence[Media | None]
    ) -> tuple[bytes, OriginState]:
        side = other(planned.plan.offerer)
        out, seen = [], set()
        for slot in slots:
            plan = planned.reading.lines[slot.stream]
            line = lines[slot.stream]
            endpoint = plan.endpoint if plan else None
            ports = ports_of(sharing.placement(lines, slot.stream, side), side)
            out.append(_outgoing(slot, sources[slot.stream], line, side, ports, endpoint, twin=slot.stream in seen))
            if slot.taken:
                seen.add(slot.stream)
        return self._write(planned.offer, out, planned.options, side, offer=True)

    def _write_answer(
        self,
        answer: Description,
        slots: Sequence[Slot],
        lines: Sequence[StreamLine],
        sections: Sequence[_Section | None],
        options: MediaOptions,
    ) -> tuple[bytes, OriginState]:
        side, out = self._state.offerer, []
        for slot in slots:
            section = sections[slot.stream]
            media, endpoint = (section.media, section.endpoint) if section else (None, None)
            ports = ports_of(sharing.placement(lines, slot.stream, side), side)
            out.append(_outgoing(slot, media, lines[slot.stream], side, ports, endpoint))
        return self._write(answer, out, options, side)

    def _write(
        self, base: Description, lines: list[OutLine], options: MediaOptions, side: str, *, offer: bool = False
    ) -> tuple[bytes, OriginState]:
        origin = self._state.origin(side)
        session_id = (
            0 if origin.version else int.from_bytes(self._random(8), "big") >> 2
        )  # RFC 8866: fits a 63-bit number
        return write(base, lines, options, origin, session_id, offer=offer)


def _outgoing(
    slot: Slot,
    media: Media | None,
    line: StreamLine,
    side: str,
    ports: LocalPorts | None,
    endpoint: Endpoint | None,
    *,
    twin: bool = False,
) -> OutLine:
    if not slot.taken or not line.live:
        return OutLine(media, replace(slot.media, port=0, count=0))
    return out_line(media, slot.media, slot.stream, line, side, ports, endpoint=endpoint, twin=twin)


def _placed_anew(pending: tuple[StreamLine, ...], ports: Sequence[StreamPlacement]) -> tuple[StreamLine, ...]:
    live = [at for at, line in enumerate(pending) if line.live]
    if not ports:
        return pending
    if len(ports) != len(live):
        raise ValueError("answer needs one placement per stream of the offer, or none")
    placed = dict(zip(live, ports, strict=True))
    return tuple(replace(line, placement=placed[at]) if at in placed else line for at, line in enumerate(pending))


def _negotiated(sdp: bytes, lines: Sequence[StreamLine], unavailable: tuple[str, ...] = ()) -> Negotiated:
    media = sharing.media(lines)
    return Negotiated(sdp, tuple(media), tuple(media.values()), unavailable)
