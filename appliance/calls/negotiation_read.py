"""Reading an offer: for every m-line, is it taken, by which keying, and what goes to the other side. Pure decisions;
the order of the questions is the order of the functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_streams as places
from appliance.calls.media import Address, RocPolicy
from appliance.calls.negotiation_state import Exchange, LegLine, Slot, other
from appliance.calls.negotiation_streams import DISCARD_PORT
from appliance.calls.negotiation_vbr import constant
from appliance.errors import CryptoRequired, InvalidRequest, NotAcceptable
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import formats, profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.fields import DIRECTIONS, UNSPECIFIED, Connection, family, invalid, parse_rtcp
from appliance.protocols.sdp.profiles import Profile

CLEARTEXT = "sdes_over_cleartext: keys may travel over protected signalling only (RFC 4568 section 8.3)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer wants media and which way it flows, as its SDP says."""

    rtp: Address | None
    rtcp: Address | None
    direction: str
    zero: bool  # held the old way, by 0.0.0.0 (RFC 2543)
    mux: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What goes to the other side: the profile, and how keys are put to a peer that may have none."""

    profile: Profile
    osrtp: bool = False  # keys under the plain profile: the answer takes them up or not (RFC 8643)
    twins: bool = False  # the secure m-line, then a plain one for the same stream (row H02)

    @property
    def secure(self) -> bool:
        return self.profile.secure or self.osrtp


@dataclass(frozen=True, slots=True)
class LinePlan:
    """The decision about one m-line of an offer. `refusal` is empty for a line that is taken."""

    kind: str
    proto: str
    source: Media  # what goes on of it: without the codecs that the request takes away
    refusal: str = ""
    crypto_missing: bool = False  # refused because a policy demands keys
    endpoint: Endpoint | None = None
    crypto: Crypto | None = None  # the offered line that we answer
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an offer comes to: its m-lines, and the one that speaks for each stream (None: the stream is not in it)."""

    slots: tuple[Slot, ...]
    lines: tuple[LinePlan | None, ...]  # by stream


def plan(offer: Description, options: MediaOptions, agreed: Exchange, side: str, ours: Collection[bytes]) -> Reading:
    """The decisions about an offer of `side`'s. CryptoRequired or NotAcceptable when nothing is left."""
    found = places.groups(offer, options, agreed, side)
    stream_of = places.streams(offer, found, agreed, side)
    lines = []
    for at, media in enumerate(offer.media):
        lines.append(_line(offer, media, options, agreed, stream_of[at], side, ours))
    if all(line.refusal for line in lines):
        _nothing_left(lines)
    speaking = {stream_of[group[0]]: _winner(group, lines) for group in found}
    for at, stream in enumerate(stream_of):
        speaking.setdefault(stream, at)
    slots = tuple(
        Slot(stream, media.media, speaking[stream] == at and not lines[at].refusal)
        for at, (stream, media) in enumerate(zip(stream_of, offer.media, strict=True))
    )
    count = max(len(agreed.lines), max(stream_of) + 1)
    by_stream = (speaking.get(stream) for stream in range(count))
    return Reading(slots, tuple(None if at is None else lines[at] for at in by_stream))


def _winner(group: Sequence[int], lines: Sequence[LinePlan]) -> int:
    """Secure before plain, then the offerer's order (G11, SDP-10)."""
    return min(group, key=lambda at: (bool(lines[at].refusal), lines[at].crypto is None, at))


def _nothing_left(lines: Sequence[LinePlan]) -> None:
    reasons = "; ".join(f"m-line {at}: {line.refusal}" for at, line in enumerate(lines, 1)) or "no m-line"
    kind = CryptoRequired if any(line.crypto_missing for line in lines) else NotAcceptable
    raise kind(f"nothing in this offer is acceptable: {reasons}")


def _refused(media: Media, why: str, *, crypto_missing: bool = False) -> LinePlan:
    return LinePlan(media.media.kind, media.media.proto, media, why, crypto_missing)


def _line(
    offer: Description,
    media: Media,
    options: MediaOptions,
    agreed: Exchange,
    stream: int,
    side: str,
    ours: Collection[bytes],
) -> LinePlan:
    profile = profiles.find(media.media.proto)
    if media.media.port == 0:
        return _refused(media, "offered with port 0")
    if profile is None:
        return _refused(media, f"protocol {media.media.proto} is not RTP as we know it")
    before = agreed.live(stream)
    try:
        crypto = _crypto(media, profile, options, ours, before.leg(side).remote if before else None)
    except (NotAcceptable, keys.NoKey) as refusal:
        return _refused(media, str(refusal), crypto_missing=isinstance(refusal, CryptoRequired | keys.NoKey))
    source = _codecs(media, options.codecs) if options.codecs else media
    if not source.media.formats:
        return _refused(media, "no codec is left of it")
    towards = target(profile, options, before.leg(other(side)) if before else None)
    if crypto is not None or towards.secure:
        source, why = constant(source, options.vbr)
        if why:
            return _refused(media, why)
    return LinePlan(
        media.media.kind,
        media.media.proto,
        source,
        endpoint=endpoint(offer, media, options),
        crypto=crypto,
        target=towards,
    )


def _codecs(media: Media, wishes: CodecWishes) -> Media:
    """The m-line with the codecs that the request lets pass."""
    named = formats.codecs(media)
    numbers = list(named)
    kept = [numbers[at] for at in wishes.choose(list(named.values()))]
    return formats.only(media, formats.followed(media, kept))


def _crypto(
    media: Media, profile: Profile, options: MediaOptions, ours: Collection[bytes], kept: Crypto | None
) -> Crypto | None:
    """The offered keys that we take; None for plain RTP. Raises why the line cannot be taken (rows G01, G03, H01,
    H03, C07)."""
    mode = options.inbound.mode if options.inbound else None
    if not profile.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy demands SRTP")
        return _opportunistic(media, options, ours, kept) if "accept-rfc" in options.osrtp else None
    if mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy forbids SRTP")
    if profile.dtls:
        raise NotAcceptable("DTLS-SRTP is not available")
    values = media.attributes("crypto")
    sdes = this_side(options)
    if values and not _may_be_seen(options, sdes):
        raise CryptoRequired(CLEARTEXT)
    return keys.choose(values, sdes, options.inbound, ours, kept)


def _opportunistic(media: Media, options: MediaOptions, ours: Collection[bytes], kept: Crypto | None) -> Crypto | None:
    """Keys under a plain profile (RFC 8643 section 3.1): taken where they can be, ignored where not (SDP-5, SDP-8)."""
    values, sdes = media.attributes("crypto"), this_side(options)
    forbidden = options.inbound is not None and options.inbound.mode is Mode.FORBIDDEN
    if not values or forbidden or not _may_be_seen(options, sdes):
        return None
    try:
        return keys.choose(values, sdes, options.inbound, ours, kept)
    except keys.NoKey:
        return None


def _may_be_seen(options: MediaOptions, sdes: SdesOptions) -> bool:
    """May keys be taken from the signalling that this side's SDP came over? (SDES-23)"""
    return options.signalling_secure or sdes.over_cleartext or not options.sdes_requires_tls


def this_side(options: MediaOptions) -> SdesOptions:
    """SDES options of the leg whose SDP is handed in. Without words of its own it gets what may hold for both legs:
    neither the words about our own offer (`only-`, `no-`) nor the other trunk's quirks and weakenings."""
    if options.sdes_from is not None:
        return options.sdes_from
    return replace(
        options.sdes,
        suites=(),
        without=frozenset(),
        order=(),
        srtcp_tag_as_srtp=False,
        legacy_192=False,
        gcm8_answered_as_gcm=False,
        roc=RocPolicy.AUTO,
        mki_keys=0,
        over_cleartext=False,
        unencrypted_srtp=False,
        unencrypted_srtcp=False,
        unauthenticated_srtp=False,
    )


def target(offered: Profile, options: MediaOptions, before: LegLine | None = None) -> Target:
    """The profile towards the other side: asked for by name, else by its policy, else as before, else as offered; and
    the form in which a leg that may be secure or plain is asked (SDP-7, SDP-8, SDP-11)."""
    mode = options.outbound.mode if options.outbound else None
    chosen = _chosen(offered, options, mode, before)
    words = options.osrtp & {"offer", "offer-legacy"}
    if mode is Mode.MANDATORY or mode is Mode.FORBIDDEN or not (words or mode is Mode.OPTIONAL):
        return Target(_permitted(chosen, options, mode))
    named = bool(options.transport_protocol)
    if chosen.dtls or (named and not words):
        return Target(_permitted(chosen, options, mode))
    if _no_keys(options):
        return Target(profiles.variant(chosen, secure=False))
    was = profiles.find(before.proto) if before else None
    if before is not None and was is not None and not before.osrtp and (before.secure or "offer" not in words):
        return Target(_permitted(was, options, mode))  # it is settled what this peer can
    secure = _permitted(profiles.variant(chosen, secure=True), options, mode)
    if "offer" in words:
        return Target(profiles.variant(secure, secure=False), osrtp=True)
    return Target(secure, twins=before is None)


def _chosen(offered: Profile, options: MediaOptions, mode: Mode | None, before: LegLine | None) -> Profile:
    if options.transport_protocol:
        named = profiles.find(options.transport_protocol)
        if named is None:
            raise InvalidRequest(
                f"unknown transport protocol {options.transport_protocol!r}", field="transport-protocol"
            )
        return named
    was = profiles.find(before.proto) if before else None
    if mode is Mode.OPTIONAL and was is not None:
        return was
    if mode is not None:
        return profiles.variant(offered, secure=mode is not Mode.FORBIDDEN)
    return was or offered


def _permitted(chosen: Profile, options: MediaOptions, mode: Mode | None) -> Profile:
    if not chosen.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy towards the other side demands SRTP")
        return chosen
    if mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy towards the other side forbids SRTP")
    if chosen.dtls:
        raise NotAcceptable("DTLS-SRTP is not available")
    if why := _no_keys(options):
        raise CryptoRequired(why)
    return chosen


def _no_keys(options: MediaOptions) -> str:
    """Why no a=crypto may be written towards the other side."""
    if not options.sdes.enabled:
        return "SDES is switched off and no other key exchange is available"
    if options.sdes_requires_tls and not (options.signalling_secure_out or options.sdes.over_cleartext):
        return CLEARTEXT
    return ""


def endpoint(sdp: Description, media: Media, options: MediaOptions) -> Endpoint:
    """Address, RTCP address, direction and mux of an m-line that is in use. InvalidSdp when there is no address to
    send to."""
    connection = sdp.connection(media)
    number = media.number
    if connection is None:
        raise invalid(number, "no c= line for this m-line")
    if not connection.literal:
        raise invalid(number, "the c= line that holds here has no IP address")
    zero = connection.host in UNSPECIFIED
    host = _host(connection, options)
    port = media.media.port
    rtp = None if zero or port == DISCARD_PORT else Address(host, port)
    direction = _direction(sdp, media)
    if zero:
        direction = "sendonly" if DIRECTIONS[direction][0] else "inactive"
    return Endpoint(rtp, _rtcp(media, rtp), direction, zero, media.has("rtcp-mux"))


def _host(connection: Connection, options: MediaOptions) -> str:
    if options.use_received_from and family(options.received_from):
        return options.received_from
    return connection.host


def _rtcp(media: Media, rtp: Address | None) -> Address | None:
    """`a=rtcp`, else the next port (RFC 3605, RFC 3550 section 11)."""
    if rtp is None:
        return None
    for at, line in enumerate(media.lines):
        if line.type == "a" and line.value.startswith("rtcp:"):
            port, host = parse_rtcp(line.value[5:], media.number + at)
            if host in UNSPECIFIED or port in (0, DISCARD_PORT):
                return None
            return Address(host or rtp.host, port)
    return Address(rtp.host, rtp.port + 1) if rtp.port < 65535 else None


def _direction(sdp: Description, media: Media) -> str:
    for section in (media, sdp.session):
        for type, value, _ in section.lines:
            if type == "a" and value in DIRECTIONS:
                return value
    return "sendrecv"
