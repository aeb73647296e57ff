"""What one call's offer/answer remembers: per m-line the state of both legs, per leg the o= line. Plain frozen values.

Nothing of a pending offer touches the agreed state: an offer that is refused or never answered leaves the call as it
was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from appliance.calls import negotiation_keys as keys
from appliance.calls.media import Address, Latching, LegMedia, RocPolicy, StreamMedia, StreamPlacement
from appliance.policy.options import SdesOptions
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.fields import DIRECTIONS

SIDES = ("a", "b")


def other(side: str) -> str:
    """The opposite leg."""
    return "b" if side == "a" else "a"


@dataclass(frozen=True, slots=True)
class Quirks:
    """What of SdesOptions shapes contexts rather than lines; kept because contexts are built anew at every answer."""

    window: int = 128
    max_window: int = 1024
    ssrc_limit: int = 16
    srtcp_tag_as_srtp: bool = False
    legacy_192: bool = False
    roc: RocPolicy = RocPolicy.AUTO

    @classmethod
    def of(cls, sdes: SdesOptions) -> Quirks:
        return cls(*(getattr(sdes, quirk.name) for quirk in fields(cls)))

    def options(self) -> SdesOptions:
        return SdesOptions(**{quirk.name: getattr(self, quirk.name) for quirk in fields(self)})


@dataclass(frozen=True, slots=True)
class LegLine:
    """One leg's side of one m-line."""

    proto: str  # profile token spoken on this leg
    interface: str = ""
    rtp: Address | None = None  # where the peer wants media; None: nowhere (hold by 0.0.0.0), or not known yet
    rtcp: Address | None = None
    mux: bool = False  # what we offered, then what is agreed
    mux_required: bool = False  # the peer is taken to do rtcp-mux whatever it answers
    direction: str = "sendrecv"  # as the peer stated it last
    proposed: tuple[Crypto, ...] = ()  # our a=crypto lines in the SDP this leg got last
    local: Crypto | None = None  # the one of them that holds
    sending_mki: bytes = b""  # which key of `local` is in use; b"": the first
    remote: Crypto | None = None  # the peer's
    spent: frozenset[str] = frozenset()  # fingerprints of keys of ours that were used and left: never offered again
    latching: Latching | None = None
    quirks: Quirks = Quirks()

    @property
    def secure(self) -> bool:
        profile = profiles.find(self.proto)
        return profile is not None and profile.secure

    @property
    def unspent(self) -> tuple[Crypto, ...]:
        """The proposed lines whose keys may stand in a re-offer."""
        return tuple(line for line in self.proposed if keys.fingerprint(line) not in self.spent)

    def media(self, *, partner: str) -> LegMedia:
        """As desired media; `partner` is the other leg's direction."""
        sends, receives = DIRECTIONS[self.direction]
        partner_sends, partner_receives = DIRECTIONS[partner]
        sdes = self.quirks.options()
        return LegMedia(
            interface=self.interface,
            remote_rtp=self.rtp,
            remote_rtcp=None if self.mux else self.rtcp,
            mux=self.mux,
            secure=self.secure,
            receive=keys.context(self.remote, sdes) if self.remote else None,
            send=keys.context(self.local, sdes, self.sending_mki) if self.local else None,
            may_send=sends and partner_receives,
            may_receive=receives and partner_sends,
            latching=self.latching or (Latching.AUTHENTICATED if self.secure else Latching.SIGNALLED_HOST),
        )


@dataclass(frozen=True, slots=True)
class StreamLine:
    """One m-line through the gateway. `offered` is the offerer's m-line value: a refusal repeats it with port 0."""

    kind: str
    offered: str
    a: LegLine
    b: LegLine
    placement: StreamPlacement | None = None  # None: refused, or ended

    @property
    def live(self) -> bool:
        return self.placement is not None

    def leg(self, side: str) -> LegLine:
        return self.a if side == "a" else self.b

    def with_leg(self, side: str, leg: LegLine) -> StreamLine:
        return replace(self, a=leg) if side == "a" else replace(self, b=leg)

    def media(self) -> StreamMedia:
        return StreamMedia(self.kind, self.a.media(partner=self.b.direction), self.b.media(partner=self.a.direction))


@dataclass(frozen=True, slots=True)
class OriginState:
    """The o= line we own towards one leg (RFC 3264 section 8): the version moves when the rest of the body does."""

    session_id: int = 0
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class CallState:
    """Everything. `pending` is the exchange whose answer is awaited (and stays for forked or repeated answers)."""

    lines: tuple[StreamLine, ...] = ()
    pending: tuple[StreamLine, ...] = ()
    offerer: str = ""  # who made the pending offer
    tag_a: str = ""
    tags_b: tuple[str, ...] = ()  # the newest answer's last
    origin_a: OriginState = field(default_factory=OriginState)
    origin_b: OriginState = field(default_factory=OriginState)

    def origin(self, side: str) -> OriginState:
        return self.origin_a if side == "a" else self.origin_b

    def with_origin(self, side: str, origin: OriginState) -> CallState:
        return replace(self, origin_a=origin) if side == "a" else replace(self, origin_b=origin)
