"""Reading an offer: for every m-line, is it taken, by which keying, and what goes to the other side. Pure decisions;
the order of the questions is the order of the functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_streams as places
from appliance.calls.media import RocPolicy
from appliance.calls.negotiation_endpoint import Endpoint, endpoint
from appliance.calls.negotiation_state import Exchange, Slot, other
from appliance.calls.negotiation_target import CLEARTEXT, Target, target
from appliance.calls.negotiation_vbr import constant
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import formats, profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.profiles import Profile


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
    return options.sdes_from if options.sdes_from is not None else _of_both(options.sdes)


@lru_cache(maxsize=256)  # the options of trunks, over and over
def _of_both(sdes: SdesOptions) -> SdesOptions:
    return replace(
        sdes,
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
