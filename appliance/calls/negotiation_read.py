"""Reading an offer: for every m-line, is it taken, by which keying, and what profile goes to the other side. Pure
decisions; the order of the questions is the order of the functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from appliance.calls import negotiation_keys as keys
from appliance.calls.media import Address, RocPolicy
from appliance.calls.negotiation_state import StreamLine
from appliance.errors import CryptoRequired, InvalidRequest, NotAcceptable
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.fields import DIRECTIONS, UNSPECIFIED, Connection, family, invalid, parse_rtcp
from appliance.protocols.sdp.profiles import Profile

DISCARD_PORT = 9  # trickle ICE's "no address yet" (RFC 8839); never a place to send media to
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
class LinePlan:
    """The decision about one m-line of an offer. `refusal` is empty for a line that is taken."""

    kind: str
    offered: str
    proto: str
    refusal: str = ""
    crypto_missing: bool = False  # refused because a policy demands keys
    endpoint: Endpoint | None = None
    crypto: Crypto | None = None  # the offered line that we answer
    target: Profile | None = None  # towards the other side


def plan(
    offer: Description, options: MediaOptions, agreed: Sequence[StreamLine], offerer: str, ours: Collection[bytes]
) -> list[LinePlan]:
    """One decision per m-line, in order. CryptoRequired or NotAcceptable when nothing is left."""
    shadowed = _alternatives(offer, options, agreed, offerer, ours)
    lines = []
    for at, media in enumerate(offer.media):
        line = agreed[at] if at < len(agreed) else None
        if at in shadowed:
            lines.append(_refused(media, "another alternative on this port was chosen"))
        else:
            lines.append(_line(offer, media, options, line, offerer, ours))
    if all(line.refusal for line in lines):
        _nothing_left(lines)
    return lines


def _nothing_left(lines: Sequence[LinePlan]) -> None:
    reasons = "; ".join(f"m-line {at}: {line.refusal}" for at, line in enumerate(lines, 1)) or "no m-line"
    kind = CryptoRequired if any(line.crypto_missing for line in lines) else NotAcceptable
    raise kind(f"nothing in this offer is acceptable: {reasons}")


def _refused(media: Media, why: str, *, crypto_missing: bool = False) -> LinePlan:
    return LinePlan(media.media.kind, str(media.media), media.media.proto, why, crypto_missing)


def _line(
    offer: Description,
    media: Media,
    options: MediaOptions,
    agreed: StreamLine | None,
    offerer: str,
    ours: Collection[bytes],
) -> LinePlan:
    profile = profiles.find(media.media.proto)
    if media.media.port == 0:
        return _refused(media, "offered with port 0")
    if profile is None:
        return _refused(media, f"protocol {media.media.proto} is not RTP as we know it")
    try:
        kept = agreed.leg(offerer).remote if agreed and agreed.live else None
        crypto = _crypto(media, profile, options, ours, kept)
    except (NotAcceptable, keys.NoKey) as refusal:
        return _refused(media, str(refusal), crypto_missing=isinstance(refusal, CryptoRequired | keys.NoKey))
    theirs = agreed.leg("b" if offerer == "a" else "a") if agreed and agreed.live else None
    return LinePlan(
        media.media.kind,
        str(media.media),
        media.media.proto,
        endpoint=endpoint(offer, media, options),
        crypto=crypto,
        target=target(profile, options, theirs.proto if theirs else ""),
    )


def _crypto(
    media: Media, profile: Profile, options: MediaOptions, ours: Collection[bytes], kept: Crypto | None
) -> Crypto | None:
    """The offered keys that we take; None for plain RTP. Raises why the line cannot be taken (rows G01, G03, H01,
    H03, C07)."""
    mode = options.inbound.mode if options.inbound else None
    if not profile.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy demands SRTP")
        return None
    if mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy forbids SRTP")
    if profile.dtls:
        raise NotAcceptable("DTLS-SRTP is not available")
    values = media.attributes("crypto")
    sdes = this_side(options)
    if values and options.sdes_requires_tls and not (options.signalling_secure or sdes.over_cleartext):
        raise CryptoRequired(CLEARTEXT)
    return keys.choose(values, sdes, options.inbound, ours, kept)


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


def target(offered: Profile, options: MediaOptions, before: str = "") -> Profile:
    """The profile towards the other side: asked for by name, else by its policy, else as before, else as offered."""
    policy = options.outbound
    if options.transport_protocol:
        named = profiles.find(options.transport_protocol)
        if named is None:
            raise InvalidRequest(
                f"unknown transport protocol {options.transport_protocol!r}", field="transport-protocol"
            )
        chosen = named
    elif policy is not None:
        chosen = profiles.variant(offered, secure=policy.mode is not Mode.FORBIDDEN)
    else:
        chosen = profiles.find(before) or offered
    return _permitted(chosen, options, policy)


def _permitted(chosen: Profile, options: MediaOptions, policy: SecureMedia | None) -> Profile:
    mode = policy.mode if policy else None
    if not chosen.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy towards the other side demands SRTP")
        return chosen
    if mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy towards the other side forbids SRTP")
    if chosen.dtls:
        raise NotAcceptable("DTLS-SRTP is not available")
    refusal = ""
    if not options.sdes.enabled:
        refusal = "SDES is switched off and no other key exchange is available"
    elif options.sdes_requires_tls and not (options.signalling_secure_out or options.sdes.over_cleartext):
        refusal = CLEARTEXT
    if refusal and mode is Mode.OPTIONAL and not options.transport_protocol:
        return profiles.variant(chosen, secure=False)
    if refusal:
        raise CryptoRequired(refusal)
    return chosen


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


def _alternatives(
    offer: Description, options: MediaOptions, agreed: Sequence[StreamLine], offerer: str, ours: Collection[bytes]
) -> set[int]:
    """m-lines that lose against another one of the same stream: consecutive, same kind, same port (rows G09, SDP-10:
    the old best-effort form). Secure before plain, then the offerer's order; a group with nothing acceptable stays
    whole."""
    losers: set[int] = set()
    if any(value.startswith("BUNDLE") for value in offer.session.attributes("group")):
        return losers
    for group in _groups(offer.media):
        plans = {}
        for at in group:
            line = agreed[at] if at < len(agreed) else None
            plans[at] = _line(offer, offer.media[at], options, line, offerer, ours)
        taken = [at for at in group if not plans[at].refusal]
        if taken:
            winner = min(taken, key=lambda at: (plans[at].crypto is None, at))
            losers.update(at for at in group if at != winner)
    return losers


def _groups(media: Sequence[Media]) -> list[list[int]]:
    groups: list[list[int]] = []
    for at, section in enumerate(media):
        before = media[at - 1].media if at else None
        now = section.media
        if before and (before.kind, before.port) == (now.kind, now.port) and now.port not in (0, DISCARD_PORT):
            if groups and groups[-1][-1] == at - 1:
                groups[-1].append(at)
            else:
                groups.append([at - 1, at])
    return groups
