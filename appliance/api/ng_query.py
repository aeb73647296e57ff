"""A call as NG's `query` (and the answer to `delete`) shows it: rtpengine's keys and flag words."""

from __future__ import annotations

import time
from collections.abc import Collection

from appliance.api.ng_fields import Body
from appliance.calls.media import Address
from appliance.calls.views import CallView, Counters, LegView, StreamView
from appliance.protocols.ng import replies


def query(view: CallView, only: Collection[str] = ()) -> Body:
    """One tag per party. `only`: these parties and those they talk to; nobody when the call has none of these tags."""
    medias: dict[str, list[replies.MediaReply]] = {}
    partner: dict[str, str] = {}
    for stream in view.streams:
        for tag, other, leg in ((stream.from_tag, stream.to_tag, stream.a), (stream.to_tag, stream.from_tag, stream.b)):
            medias.setdefault(tag, []).append(_media(stream, leg, int(view.created)))
            partner.setdefault(tag, other)
    tags = [
        replies.TagReply(
            tag, int(view.created), partner[tag], view.label if tag == view.from_tag else "", tuple(streams)
        )
        for tag, streams in medias.items()
        if not only or tag in only or partner[tag] in only
    ]
    return replies.query(view.created, int(view.changed), tags)


def _media(stream: StreamView, leg: LegView, created: int) -> replies.MediaReply:
    words = ["initialized"] if leg.remote_rtp or leg.remote_rtcp else []
    words += ["send"] * leg.may_receive + ["recv"] * leg.may_send
    words += ["rtcp-mux"] * leg.mux + _key_words(leg) + _ice_words(leg)
    suite = leg.receive.suite if leg.receive else leg.send.suite if leg.send else ""
    last = created if leg.last_packet_age_s is None else int(time.time() - leg.last_packet_age_s)
    errors = sum(leg.drops.values())
    ours = leg.local
    rtp = replies.StreamReply(
        ours.address,
        ours.rtp,
        _pair((leg.ice and leg.ice.pair_rtp) or leg.learnt_rtp or leg.remote_rtp),
        _pair(leg.remote_rtp),
        suite,
        last,
        flags=_stream_words(["RTP"] + ["RTCP"] * leg.mux, leg.remote_rtp, leg.rtp),
        stats=replies.StreamStats(leg.rtp.received_packets, leg.rtp.received_octets, errors),
    )
    if leg.mux:
        return replies.MediaReply(stream.index + 1, stream.kind, _protocol(leg), tuple(words), (rtp,))
    rtcp = replies.StreamReply(
        ours.address,
        ours.rtcp,
        _pair((leg.ice and leg.ice.pair_rtcp) or leg.learnt_rtcp or leg.remote_rtcp),
        _pair(leg.remote_rtcp),
        suite,
        last,
        rtcp=True,
        flags=_stream_words(["RTCP"], leg.remote_rtcp, leg.rtcp),
        stats=replies.StreamStats(leg.rtcp.received_packets, leg.rtcp.received_octets),
    )
    return replies.MediaReply(stream.index + 1, stream.kind, _protocol(leg), tuple(words), (rtp, rtcp))


def _key_words(leg: LegView) -> list[str]:
    if leg.dtls is None:
        return ["SDES"] * leg.secure
    role = {"client": ["DTLS role active"], "server": ["DTLS role passive"]}
    return ["DTLS-SRTP", *role.get(leg.dtls.role, [])]


def _ice_words(leg: LegView) -> list[str]:
    if leg.ice is None:
        return []
    return ["ICE", *["ICE controlling"] * leg.ice.controlling, *["ICE-lite self"] * leg.ice.lite]


def _stream_words(kind: list[str], endpoint: Address | None, counters: Counters) -> tuple[str, ...]:
    return (*kind, *["filled"] * (endpoint is not None), *["confirmed"] * (counters.received_packets > 0))


def _protocol(leg: LegView) -> str:
    return "RTP/SAVP" if leg.secure else "RTP/AVP"


def _pair(address: Address | None) -> tuple[str, int] | None:
    return (address.host, address.port) if address else None
