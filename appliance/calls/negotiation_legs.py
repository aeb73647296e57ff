"""What one leg of one stream becomes by an offer or an answer: addresses, mux, keys. Pure; KeySource draws."""

from __future__ import annotations

from collections.abc import Collection

from appliance.calls import negotiation_bundle as bundle
from appliance.calls import negotiation_dtls as dtls
from appliance.calls import negotiation_keys as keys
from appliance.calls import negotiation_read as reading
from appliance.calls.negotiation_endpoint import Endpoint, endpoint
from appliance.calls.negotiation_keys import KeySource
from appliance.calls.negotiation_numbers import Said
from appliance.calls.negotiation_read import LinePlan
from appliance.calls.negotiation_state import LegLine, StreamLine, quirks_of
from appliance.calls.negotiation_target import Target
from appliance.errors import CryptoRequired, NotAcceptable
from appliance.policy import suites as suite_policy
from appliance.policy.options import MediaOptions
from appliance.policy.secure_media import Mode
from appliance.protocols.sdes.crypto import Crypto
from appliance.protocols.sdp import formats, profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.values import changed, frozen


@frozen
class Before:
    """What is known of a leg from earlier offers and answers. `fixed`: its placement did not move (else all keys of
    ours are new: SDES-20)."""

    leg: LegLine | None = None
    fixed: bool = False

    @property
    def keyed(self) -> LegLine | None:
        return self.leg if self.fixed else None


def offerers(
    line: LinePlan, options: MediaOptions, interface: str, before: Before, draw: KeySource, said: Said
) -> LegLine:
    """The leg that offered: its keys are known, ours answer them (and stay while theirs do)."""
    assert line.endpoint is not None
    sdes, old = reading.this_side(options), before.keyed
    local, sending_mki = None, b""
    also: tuple[Crypto, ...] = ()
    if line.crypto is not None:
        unchanged = old is not None and old.remote is not None and keys.same_keys(old.remote, line.crypto)
        local = keys.reply(line.crypto, sdes, draw, old.local if old and unchanged else None)
        sending_mki = old.sending_mki if old and unchanged else b""
        if (
            before.leg is not None
            and before.leg.remote is not None
            and not keys.same_keys(before.leg.remote, line.crypto)
        ):
            also = (before.leg.remote,)
    return LegLine(
        proto=line.proto,
        osrtp=line.secure and not profiles.secure(line.proto),
        interface=interface,
        rtp=line.endpoint.rtp,
        rtcp=line.endpoint.rtcp,
        mux=line.endpoint.mux and "reject" not in options.rtcp_mux and not _like_rtcp(line.source),
        mid=said.mid,
        direction=line.endpoint.direction,
        proposed=(local,) if local else (),
        local=local,
        sending_mki=sending_mki,
        remote=line.crypto,
        also=also,
        latching=options.latching,
        quirks=quirks_of(sdes),
        known=said.own,
        ids=said.own_ids,
        mid_extension=bundle.extension(line.source),
        speaks_feedback=line.both.spoken,
    )


def others(
    line: LinePlan,
    target: Target,
    options: MediaOptions,
    interface: str,
    before: Before,
    draw: KeySource,
    said: Said,
) -> LegLine:
    """The leg that we offer to."""
    assert line.endpoint is not None
    leg, old = before.leg, before.keyed
    proposed: tuple[Crypto, ...] = ()
    if target.sdes:
        theirs = {line.crypto.suite.name} if line.crypto and line.crypto.suite else set()
        wanted = suite_policy.offered(options.sdes, options.outbound, theirs)
        if not wanted:
            raise NotAcceptable("the options leave no crypto suite to offer")
        proposed = keys.propose(wanted, options.sdes, draw, old.unspent if old else ())
    words = options.rtcp_mux
    mux = bool(words & {"offer", "require"}) or (line.endpoint.mux and not words & {"demux", "reject"})
    required = "require" in words
    return LegLine(
        proto=target.profile.token,
        osrtp=target.osrtp,
        interface=interface,
        rtp=leg.rtp if leg else None,
        rtcp=leg.rtcp if leg else None,
        mux=mux and (required or not _like_rtcp(line.source)),
        mid=(leg.mid if leg else "") or said.mid,
        mux_required=required,
        direction=leg.direction if leg else "sendrecv",
        proposed=proposed,
        sending_mki=old.sending_mki if old else b"",
        also=(leg.remote,) if leg and leg.remote else (),
        latching=options.latching,
        quirks=quirks_of(options.sdes),
        known=said.known,
        told=said.told,
        ids=said.ids,
        speaks_feedback=line.both.asked,
    )


def _like_rtcp(source: Media) -> bool:
    """A payload type that a shared port could take for RTCP (RFC 5761 section 4)."""
    return not formats.RTCP_NUMBERS.isdisjoint(source.media.formats)


def answered(
    at: int,
    line: StreamLine,
    answer: Description,
    media: Media,
    side: str,
    options: MediaOptions,
    used: Collection[bytes],
) -> tuple[StreamLine, Endpoint]:
    """One stream after its answer, the m-line `media` (number `at`, from 1) of the answerer `side`. NotAcceptable,
    CryptoRequired."""
    leg = line.leg(side)
    there = endpoint(answer, media, options)
    values = media.attributes("crypto")
    local = remote = None
    if leg.dtls is not None and leg.proposed and values:  # both were offered (Target.both)
        by_sdes = not dtls.present(answer, media) or reading.this_side(options).preferred
        leg = changed(leg, dtls=None) if by_sdes else leg
    if leg.osrtp and not (dtls.present(answer, media) if leg.dtls else values):
        leg = changed(
            leg, osrtp=False, dtls=None
        )  # plain, as the offer allowed; a=crypto stays for a re-offer to repeat
    if leg.secure and not leg.dtls:
        try:
            local, remote = keys.match(values, leg.proposed, reading.this_side(options), used)
        except keys.NoKey as why:
            raise CryptoRequired(f"answer, m-line {at}: {why}") from None
    elif not leg.secure and options.inbound is not None and options.inbound.mode is Mode.MANDATORY:
        raise CryptoRequired(f"answer, m-line {at}: the policy demands SRTP")
    leg = changed(
        leg, rtp=there.rtp, rtcp=there.rtcp, mux=leg.mux_required or (leg.mux and there.mux),
        direction=there.direction, local=local, remote=remote,
        also=tuple(earlier for earlier in leg.also if remote and not keys.same_keys(earlier, remote)),
        speaks_feedback=leg.speaks_feedback and media.has("rtcp-fb"),
    )  # fmt: skip
    return line.with_leg(side, leg), there


def chosen(line: StreamLine, side: str, proto: str) -> StreamLine:
    """The stream with the one of `side`'s twins that the answer took."""
    leg = line.leg(side)
    if leg.proto == proto:
        return line
    return line.with_leg(side, changed(leg, proto=proto, proposed=()))


def check_answered(at: int, line: StreamLine, offered: str, media: Media) -> None:
    """What was offered, `offered`, is what may be answered. NotAcceptable, CryptoRequired (a downgrade: C3)."""
    if media.media.kind != line.kind:
        raise NotAcceptable(f"answer, m-line {at} is {media.media.kind} where {line.kind} was offered")
    profile = profiles.find(media.media.proto)
    wanted = profiles.find(offered)
    if profile is not None and profiles.secure(offered) and not profile.secure:
        raise CryptoRequired(f"answer, m-line {at}: SRTP was offered, the answer is {media.media.proto}")
    if profile is None or profile.dtls != (wanted is not None and wanted.dtls):
        raise NotAcceptable(f"answer, m-line {at}: {media.media.proto} was not offered")
    if profile.secure and not profiles.secure(offered):
        raise NotAcceptable(f"answer, m-line {at}: RTP was offered, the answer is {media.media.proto}")


def spending(line: StreamLine, before: StreamLine | None, side: str) -> StreamLine:
    """A key of ours that was in use and is left for another is never offered again: its packet indices would start
    anew under the same key (two-time pad, RFC 3711 section 9.1)."""
    left, leg = before.leg(side) if before else None, line.leg(side)
    if left is None or not line.live:
        return line
    left_it = left.local is not None and (leg.local is None or leg.local.keys != left.local.keys)
    spent = left.spent | {keys.fingerprint(left.local)} if left_it and left.local else left.spent
    return line if spent == leg.spent else line.with_leg(side, changed(leg, spent=spent))
