"""Reading an offer: for every m-line, is it taken, by which keying, and what goes to the other side. Pure decisions;
the order of the questions is the order of the functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_dtls as by_dtls
from appliance.calls import negotiation_ice as by_ice
from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_streams as places
from appliance.calls import negotiation_transcode as transcode
from appliance.calls.media import RocPolicy
from appliance.calls.negotiation_dtls import NoDtls
from appliance.calls.negotiation_endpoint import Endpoint, endpoint
from appliance.calls.negotiation_state import NO_TRANSCODING, Exchange, LegLine, Slot, Transcoding, other
from appliance.calls.negotiation_target import CLEARTEXT, Target, target
from appliance.calls.negotiation_together import Together, together, usable
from appliance.calls.negotiation_vbr import constant
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy import suites as suite_policy
from appliance.policy.codec_wishes import CodecWishes
from appliance.policy.options import MediaOptions, SdesOptions
from appliance.policy.secure_media import Mode
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import formats, profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.profiles import Profile
from appliance.values import frozen, remembered


@frozen
class LinePlan:
    """The decision about one m-line of an offer. `refusal` is empty for a line that is taken."""

    kind: str
    proto: str
    source: Media  # what goes on of it: without the codecs that the request takes away
    refusal: str = ""
    crypto_missing: bool = False  # refused because a policy demands keys
    endpoint: Endpoint | None = None
    crypto: Crypto | None = None  # the offered line that we answer, ...
    dtls: by_dtls.Said | None = None  # ... or the fingerprint that we do: never both (D07, SDP-4)
    ice: by_ice.Said | None = None
    bundled: bool = False  # in a BUNDLE group that we may answer
    group: int = -1  # m-line that is tagged in it (from 0), whose transport it is; -1: it has its own
    tagged: bool = False  # it is that m-line
    alone: LinePlan | None = None  # as it would be with its own; None: it has none
    target: Target | None = None
    both: Together = Together()
    transcoding: Transcoding = NO_TRANSCODING
    unavailable: tuple[str, ...] = ()  # what of the request's wishes it cannot have

    @property
    def secure(self) -> bool:
        return self.crypto is not None or self.dtls is not None


@frozen
class Reading:
    """What an offer comes to: its m-lines, and the one that speaks for each stream (None: the stream is not in it)."""

    slots: tuple[Slot, ...]
    lines: tuple[LinePlan | None, ...]  # by stream

    def bundles(self) -> tuple[list[list[int]], list[int]]:
        """Streams by the port that they share, the tagged one first, and those that share none."""
        groups: dict[int, list[int]] = {}
        alone = []
        for stream, line in enumerate(self.lines):
            if line is None or line.refusal:
                continue
            if line.group < 0:
                alone.append(stream)
            elif line.tagged:
                groups.setdefault(line.group, []).insert(0, stream)
            else:
                groups.setdefault(line.group, []).append(stream)
        return list(groups.values()), alone


def plan(offer: Description, options: MediaOptions, agreed: Exchange, side: str, ours: Collection[bytes]) -> Reading:
    """The decisions about an offer of `side`'s. CryptoRequired or NotAcceptable when nothing is left."""
    refused: set[int] = set()
    while True:  # once more when an m-line that others depend on is refused: another one is tagged then
        bundles = bundle.offered(offer, options, refused)
        reading, lost = _plan(offer, bundles, options, agreed, side, ours)
        if lost <= refused:
            return reading
        refused |= lost


def _plan(
    raw: Description,
    bundles: Sequence[bundle.Group],
    options: MediaOptions,
    agreed: Exchange,
    side: str,
    ours: Collection[bytes],
) -> tuple[Reading, set[int]]:
    """With these groups; tagged m-lines that are refused."""
    offer = bundle.joined(raw, bundles)
    found = places.groups(offer, options, agreed, side)
    stream_of = places.streams(offer, found, agreed, side)
    group_of = {at: group for group in bundles for at in group.lines}
    lines = []
    for at in range(len(offer.media)):
        line = _line(offer, at, options, agreed, stream_of[at], side, ours, bundled=at in group_of)
        if (group := group_of.get(at)) and not line.refusal:
            alone = None
            if at != group.tagged and agreed.live(stream_of[at]) is None:
                alone = _line(raw, at, options, agreed, stream_of[at], side, ours)
            usable = alone is not None and not alone.refusal
            line = replace(line, group=group.tagged, tagged=at == group.tagged, alone=alone if usable else None)
        lines.append(line)
    lost = {group.tagged for group in bundles if lines[group.tagged].refusal}
    if lost:
        return Reading((), ()), lost
    if all(line.refusal for line in lines):
        _nothing_left(lines)
    preferred = this_side(options).preferred
    speaking = {stream_of[group[0]]: _winner(group, lines, sdes_first=preferred) for group in found}
    for at, stream in enumerate(stream_of):
        speaking.setdefault(stream, at)
    slots = tuple(
        Slot(stream, media.media, speaking[stream] == at and not lines[at].refusal)
        for at, (stream, media) in enumerate(zip(stream_of, offer.media, strict=True))
    )
    count = max(len(agreed.lines), max(stream_of) + 1)
    by_stream = (speaking.get(stream) for stream in range(count))
    return Reading(slots, tuple(None if at is None else lines[at] for at in by_stream)), set()


def _winner(group: Sequence[int], lines: Sequence[LinePlan], *, sdes_first: bool) -> int:
    """Secure before plain, SDES first where it is wished, then the offerer's order (G11, SDP-10, D07)."""
    if len(group) == 1:
        return group[0]

    def rank(at: int) -> tuple[bool, bool, bool, int]:
        line = lines[at]
        return bool(line.refusal), not line.secure, sdes_first and line.crypto is None, at

    return min(group, key=rank)


def _nothing_left(lines: Sequence[LinePlan]) -> None:
    reasons = "; ".join(f"m-line {at}: {line.refusal}" for at, line in enumerate(lines, 1)) or "no m-line"
    kind = CryptoRequired if any(line.crypto_missing for line in lines) else NotAcceptable
    raise kind(f"nothing in this offer is acceptable: {reasons}")


def _refused(media: Media, why: str, *, crypto_missing: bool = False) -> LinePlan:
    return LinePlan(media.media.kind, media.media.proto, media, why, crypto_missing)


def _line(
    offer: Description,
    at: int,
    options: MediaOptions,
    agreed: Exchange,
    stream: int,
    side: str,
    ours: Collection[bytes],
    *,
    bundled: bool = False,
) -> LinePlan:
    media = offer.media[at]
    profile = profiles.find(media.media.proto)
    if media.media.port == 0:
        return _refused(media, "offered with port 0")
    if profile is None:
        return _refused(media, f"protocol {media.media.proto} is not RTP as we know it")
    before = agreed.live(stream)
    if not bundled and (why := bundle.refusal(offer, at, new=before is None)):
        return _refused(media, why)
    if media.has("rtcp-mux-only") and "reject" in options.rtcp_mux:
        return _refused(media, "it has no port for RTCP, and rtcp-mux is not taken here (RFC 8858)")
    ice = None if options.ice_rejected else by_ice.read(offer, media)
    try:
        crypto, dtls = _keying(offer, media, profile, options, ours, before.leg(side) if before else None, ice)
    except (NotAcceptable, keys.NoKey, NoDtls) as refusal:
        return _refused(media, str(refusal), crypto_missing=isinstance(refusal, CryptoRequired | keys.NoKey | NoDtls))
    source, transcoding, unavailable = media, NO_TRANSCODING, ()  # type: Media, Transcoding, tuple[str, ...]
    if options.codecs:
        source = _codecs(media, options.codecs)
        transcoding, unavailable = transcode.plan(media, source, options.codecs, opaque="opaque" in options.flags)
        if not (transcoding.added or transcode.speaks(source)):
            return _refused(media, "no codec is left of it")
    towards = target(profile, options, before.leg(other(side)) if before else None)
    both = together(media, profile, towards.profile, options)
    source = usable(source, both)
    if crypto is not None or dtls is not None or towards.secure:
        source, why = constant(source, options.vbr)
        if why:
            return _refused(media, why)
    return LinePlan(
        media.media.kind,
        media.media.proto,
        source,
        endpoint=endpoint(offer, media, options),
        crypto=crypto,
        dtls=dtls,
        ice=ice,
        bundled=bundle.accepts(options, media.media.proto) and bundle.grouped(offer, media),
        target=towards,
        both=both,
        transcoding=transcoding,
        unavailable=unavailable,
    )


def _codecs(media: Media, wishes: CodecWishes) -> Media:
    """The m-line with the codecs that the request lets pass."""
    named = formats.codecs(media)
    numbers = list(named)
    kept = [numbers[at] for at in wishes.choose(list(named.values()), alone=True)]
    return formats.only(media, formats.followed(media, kept))


def _keying(
    offer: Description,
    media: Media,
    profile: Profile,
    options: MediaOptions,
    ours: Collection[bytes],
    before: LegLine | None,
    ice: by_ice.Said | None,
) -> tuple[Crypto | None, by_dtls.Said | None]:
    """The offered keys or fingerprints that we take; neither for plain RTP. Raises why the line cannot be taken (rows
    G01, G03, H01, H03, C07, D07)."""
    mode = options.inbound.mode if options.inbound else None
    if not profile.secure:
        if mode is Mode.MANDATORY:
            raise CryptoRequired("the policy demands SRTP")
        if "accept-rfc" not in options.osrtp or mode is Mode.FORBIDDEN:
            return None, None
    elif mode is Mode.FORBIDDEN:
        raise NotAcceptable("the policy forbids SRTP")

    def sdes() -> tuple[Crypto | None, by_dtls.Said | None]:
        values, wishes = media.attributes("crypto"), this_side(options)
        if values and not _may_be_seen(options, wishes):
            raise CryptoRequired(CLEARTEXT)
        return keys.choose(values, wishes, options.inbound, ours, before.remote if before else None), None

    def dtls() -> tuple[Crypto | None, by_dtls.Said | None]:
        return None, _fingerprints(offer, media, options, before, ice)

    ways = [dtls] if profile.dtls else [sdes]
    if not profile.dtls and by_dtls.present(offer, media):
        ways = [sdes, dtls] if this_side(options).preferred else [dtls, sdes]
    faults: list[Exception] = []
    for way in ways:
        try:
            return way()
        except by_dtls.SameTransport:
            raise
        except (NotAcceptable, keys.NoKey, NoDtls) as fault:
            faults.append(fault)
    if not profile.secure:
        return None, None  # opportunistic: taken where they can be, ignored where not (RFC 8643, SDP-5, SDP-8)
    raise faults[0] if len(faults) == 1 else CryptoRequired("; ".join(map(str, faults)))


def _fingerprints(
    offer: Description, media: Media, options: MediaOptions, before: LegLine | None, ice: by_ice.Said | None
) -> by_dtls.Said:
    wishes = by_dtls.this_side(options)
    if not wishes.enabled:
        raise NoDtls("DTLS-SRTP is not available here")
    if suite_policy.dtls(options.inbound) is None:
        raise NoDtls("no suite of the policy is to be had by DTLS-SRTP")
    said = by_dtls.read(offer, media, offer=True, sha1=wishes.sha1)
    if before is not None and before.dtls is not None:
        where = endpoint(offer, media, options)
        by_dtls.check(before.dtls, said, by_dtls.transport(ice.credentials.ufrag if ice else "", where.rtp))
    return said


def _may_be_seen(options: MediaOptions, sdes: SdesOptions) -> bool:
    """May keys be taken from the signalling that this side's SDP came over? (SDES-23)"""
    return options.signalling_secure or sdes.over_cleartext or not options.sdes_requires_tls


def this_side(options: MediaOptions) -> SdesOptions:
    """SDES options of the leg whose SDP is handed in. Without words of its own it gets what may hold for both legs:
    neither the words about our own offer (`only-`, `no-`) nor the other trunk's quirks and weakenings."""
    return options.sdes_from if options.sdes_from is not None else _of_both(options.sdes)


@remembered  # the options of trunks, over and over
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
