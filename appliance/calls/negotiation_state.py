"""What one call's offer/answer remembers: per stream the state of both legs, per leg its m-lines and its o= line. Plain
frozen values.

A stream is what passes through the gateway; a leg's SDP may have several m-lines for one stream (alternatives of which
one is taken), and the two legs need not have the same number of them. Nothing of a pending offer touches the agreed
state: an offer that is refused or never answered leaves the call as it was.
"""

from __future__ import annotations

from dataclasses import field, replace
from typing import Any

from appliance.calls import negotiation_keys as keys
from appliance.calls.media import (
    Address,
    Bundled,
    ContextSpec,
    Latching,
    LegMedia,
    RocPolicy,
    StreamMedia,
    StreamPlacement,
)  # fmt: skip
from appliance.calls.negotiation_dtls import DtlsLine
from appliance.calls.negotiation_ice import IceLine
from appliance.policy.options import SdesOptions
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.fields import DIRECTIONS, MediaLine
from appliance.values import changed, frozen, remembered

SIDES = ("a", "b")
PAYLOAD_TYPES = (*range(64), *range(96, 128))  # 64 to 95 would be taken for RTCP (RFC 5761 section 4)


def other(side: str) -> str:
    """The opposite leg."""
    return "b" if side == "a" else "a"


@frozen
class Quirks:
    """What of SdesOptions shapes contexts rather than lines; kept because contexts are built anew at every answer."""

    window: int = 128
    max_window: int = 1024
    ssrc_limit: int = 16
    srtcp_tag_as_srtp: bool = False
    legacy_192: bool = False
    roc: RocPolicy = RocPolicy.AUTO


@remembered
def quirks_of(sdes: SdesOptions) -> Quirks:
    return Quirks(sdes.window, sdes.max_window, sdes.ssrc_limit, sdes.srtcp_tag_as_srtp, sdes.legacy_192, sdes.roc)


@frozen
class Transcoding:
    """What of it an offer may come to; the answer decides (negotiation_transcode). Payload types."""

    added: str = ""  # PCMU's or PCMA's: offered to the other side, made of the other law
    accepted: tuple[str, ...] = ()  # of the offerer's: answered even if the other side has the other law alone

    def __bool__(self) -> bool:
        return bool(self.added or self.accepted)


NO_TRANSCODING = Transcoding()


@frozen
class LegLine:
    """One leg's side of one stream. Its keys come by `proposed`, `local`, `remote` (SDES) or by `dtls`."""

    proto: str  # profile token spoken on this leg
    osrtp: bool = False  # keys under a plain token (RFC 8643): ours when offered, then those that the answer took up
    interface: str = ""
    rtp: Address | None = None  # where the peer wants media; None: nowhere (hold by 0.0.0.0), or not known yet
    rtcp: Address | None = None
    mux: bool = False  # what we offered, then what is agreed
    mid: str = ""  # by which this leg's SDP names the m-line (RFC 5888)
    mux_required: bool = False  # the peer is taken to do rtcp-mux whatever it answers
    direction: str = "sendrecv"  # as the peer stated it last
    proposed: tuple[Crypto, ...] = ()  # our a=crypto lines in the SDP this leg got last
    local: Crypto | None = None  # the one of them that holds
    sending_mki: bytes = b""  # which key of `local` is in use; b"": the first
    remote: Crypto | None = None  # the peer's
    also: tuple[
        Crypto, ...
    ] = ()  # lines of the peer's that still hold, or may hold soon: one generation (SDES-19, -21)
    spent: frozenset[str] = frozenset()  # fingerprints of keys of ours that were used and left: never offered again
    ice: IceLine | None = None
    dtls: DtlsLine | None = None
    bundled: bool = False  # may be in a BUNDLE group: the peer's, or ours in an offer
    carrier: int | None = None  # the stream whose port, and transport, this one shares; its own number: others share it
    tag: str = ""  # mid of the m-line that is tagged among those at its port; "": its own
    speaks_feedback: bool = False  # a=rtcp-fb without the F, and its trunk may (negotiation_together)
    mid_extension: int = 0  # id of the header extension that carries MID on this leg; 0: not agreed on
    apart: LegLine | None = None  # an offerer's leg as it would be without the m-line that carries it
    latching: Latching | None = None
    quirks: Quirks = Quirks()
    known: tuple[tuple[str, str], ...] = ()  # payload type -> codec, all that was said on this leg (RFC 3264 8.3.2)
    told: tuple[tuple[str, str], ...] = ()  # of an offer to this leg: (the offerer's payload type, the one we wrote)
    ids: tuple[tuple[int, str], ...] = ()  # header extension id -> URI, likewise (RFC 8285)
    payload_types: tuple[tuple[int, int], ...] = ()  # as in LegMedia
    extensions: tuple[tuple[int, int], ...] | None = None  # as in LegMedia
    transcode: tuple[tuple[int, int, str], ...] = ()  # as in LegMedia
    transcoding: Transcoding = NO_TRANSCODING  # of an offer to this leg

    @property
    def secure(self) -> bool:
        profile = profiles.find(self.proto)
        return self.osrtp or self.dtls is not None or (profile is not None and profile.secure)

    @property
    def feedback(self) -> bool:
        profile = profiles.find(self.proto)
        return self.speaks_feedback or (profile is not None and profile.feedback)

    @property
    def unspent(self) -> tuple[Crypto, ...]:
        """The proposed lines whose keys may stand in a re-offer."""
        return tuple(line for line in self.proposed if keys.fingerprint(line) not in self.spent)

    def also_contexts(self) -> tuple[ContextSpec, ...]:
        """As in LegMedia.receive_also."""
        return tuple(keys.context(line, self.quirks) for line in self.also)

    def _send_context(self) -> ContextSpec | None:
        """A key that was left and is taken up again (a forked call's first answer after its second) goes on where the
        other one stood: from ROC 0 its indices could be used twice (RFC 3711 section 9.1)."""
        if self.local is None:
            return None
        quirks = self.quirks
        if self.spent and keys.fingerprint(self.local) in self.spent:
            quirks = changed(quirks, roc=RocPolicy.KEEP)
        return keys.context(self.local, quirks, self.sending_mki)

    def media(self, line: int, *, partner: str) -> LegMedia:
        """As desired media of stream `line`; `partner` is the other leg's direction."""
        sends, receives = DIRECTIONS[self.direction]
        partner_sends, partner_receives = DIRECTIONS[partner]
        return LegMedia(
            interface=self.interface,
            remote_rtp=self.rtp,
            remote_rtcp=None if self.mux else self.rtcp,
            mux=self.mux,
            secure=self.secure,
            receive=keys.context(self.remote, self.quirks) if self.remote else None,
            send=self._send_context(),
            may_send=sends and partner_receives,
            may_receive=receives and partner_sends,
            feedback=self.feedback,
            payload_types=self.payload_types,
            transcode=self.transcode,
            extensions=self.extensions,
            receive_also=self.also_contexts(),
            latching=self.latching or (Latching.AUTHENTICATED if self.secure else Latching.SIGNALLED_HOST),
            ice=self.ice.media() if self.ice and not self._member(line) else None,
            dtls=self.dtls.media() if self.dtls and not self._member(line) else None,
            bundle=self._bundle(line),
        )

    def _member(self, line: int) -> bool:
        return self.carrier not in (None, line)

    def _bundle(self, line: int) -> Bundled | None:
        if self.carrier is None:
            return None
        said = {word for word, _ in self.known}
        numbers = tuple(number for number in PAYLOAD_TYPES if str(number) in said)
        return Bundled(self.carrier, self._member(line), self.mid, numbers, self.mid_extension)


@frozen
class StreamLine:
    """One stream through the gateway."""

    kind: str
    a: LegLine
    b: LegLine
    placement: StreamPlacement | None = None  # None: refused, or ended
    kept: StreamPlacement | None = None  # of one that has ended, while it carries others

    @property
    def live(self) -> bool:
        return self.placement is not None

    def leg(self, side: str) -> LegLine:
        return self.a if side == "a" else self.b

    def with_leg(self, side: str, leg: LegLine) -> StreamLine:
        if leg is self.leg(side):
            return self
        return changed(self, a=leg) if side == "a" else changed(self, b=leg)

    def media(self, line: int) -> StreamMedia:
        """As desired media of stream `line`."""
        a, b = self.a.media(line, partner=self.b.direction), self.b.media(line, partner=self.a.direction)
        return StreamMedia(self.kind, a, b)


@frozen
class Slot:
    """One m-line of a leg's SDP, which keeps its place for the life of the call (RFC 3264 section 8)."""

    stream: int
    media: MediaLine  # as it was said last: a refusal repeats it with port 0
    taken: bool = True  # it carries the stream, or may come to: not refused, not an alternative that lost

    def now(self, *, taken: bool) -> Slot:
        return self if taken == self.taken else Slot(self.stream, self.media, taken)


@frozen
class Exchange:
    """One offer with its answer, or without it yet: the streams, and the m-lines that each leg sees."""

    lines: tuple[StreamLine, ...] = ()
    slots_a: tuple[Slot, ...] = ()
    slots_b: tuple[Slot, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines)

    def slots(self, side: str) -> tuple[Slot, ...]:
        return self.slots_a if side == "a" else self.slots_b

    def live(self, stream: int) -> StreamLine | None:
        """The stream, if it is there and in use."""
        line = self.lines[stream] if stream < len(self.lines) else None
        return line if line is not None and line.live else None

    def sending(self, stream: int, side: str, mki: bytes) -> Exchange:
        """The same with another key of ours in use towards one leg of a stream."""
        lines = tuple(
            line.with_leg(side, replace(line.leg(side), sending_mki=mki)) if at == stream else line
            for at, line in enumerate(self.lines)
        )
        return replace(self, lines=lines)

    def without(self, gone: tuple[Crypto, ...], stream: int, side: str) -> Exchange:
        """The same, these further lines of a peer's being forgotten on one leg of a stream."""
        lines = list(self.lines)
        if stream < len(lines):
            leg = lines[stream].leg(side)
            kept = tuple(line for line in leg.also if line not in gone)
            lines[stream] = lines[stream].with_leg(side, replace(leg, also=kept))
        return replace(self, lines=tuple(lines))

    @classmethod
    def of(cls, side: str, lines: tuple[StreamLine, ...], own: tuple[Slot, ...], others: tuple[Slot, ...]) -> Exchange:
        """`own`: m-lines of `side`."""
        return cls(lines, own, others) if side == "a" else cls(lines, others, own)


@frozen
class OriginState:
    """The o= line we own towards one leg (RFC 3264 section 8): the version moves when the rest of the body does."""

    session_id: int = 0
    version: int = 0
    digest: str = ""


@frozen
class CallState:
    """Everything. `pending` is the exchange whose answer is awaited (and stays for forked or repeated answers)."""

    agreed: Exchange = field(default_factory=Exchange)
    pending: Exchange = field(default_factory=Exchange)
    offerer: str = ""  # who made the pending offer
    tag_a: str = ""
    tags_b: tuple[str, ...] = ()  # the newest answer's last
    origin_a: OriginState = field(default_factory=OriginState)
    origin_b: OriginState = field(default_factory=OriginState)

    @property
    def known(self) -> Exchange:
        """As agreed; before any answer, as offered last."""
        return self.agreed or self.pending

    def before(self, stream: int, side: str) -> StreamLine | None:
        """The stream that an offer of `side` changes: as agreed; before any answer, as offered last by the same side (a
        repeated or forked offer keeps its keys)."""
        if self.agreed:
            return self.agreed.live(stream)
        return self.pending.live(stream) if self.offerer == side else None

    def origin(self, side: str) -> OriginState:
        return self.origin_a if side == "a" else self.origin_b

    def moved(self, side: str, origin: OriginState, **change: Any) -> CallState:
        """The state after a step that wrote an SDP, and so an o= line, for `side`."""
        if side == "a":
            return changed(self, origin_a=origin, **change)
        return changed(self, origin_b=origin, **change)
