"""A leg that should send and is not heard; and one whose packets are too long for what was agreed."""

from __future__ import annotations

import ipaddress

from appliance.calls.media import Address
from appliance.diagnosis import shape, words
from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.diagnosis.facts import LegFacts, StreamFacts

PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def expected(stream: StreamFacts, leg: LegFacts) -> bool:
    """Whether media should come from this leg."""
    return leg.media.may_send and not leg.media.blocked and not (leg.view.secure and leg.media.receive is None)


def silence(stream: StreamFacts, leg: LegFacts) -> Finding | None:
    view, other = leg.view, stream.b if leg.side == "a" else stream.a
    if words.heard(leg):
        over = None if view.secure else _srtp_trailer(stream, leg)
        if over is None:
            return None
        return words.finding(
            stream, leg, Cause.SRTP_ON_PLAIN_LEG, Confidence.POSSIBLE,
            f"{words.name(leg)} sends {over} octets more in each packet than its codec has: as long as an SRTP tag",
            (*words.counts(leg), ("payload-type", str(stream.payload_types[0])), ("octets-over", str(over))),
        )  # fmt: skip
    if view.rtp.received_packets:
        return words.finding(
            stream, leg, Cause.STOPPED, Confidence.CERTAIN,
            f"{words.name(leg)} sent {view.rtp.received_packets} packets, the last {leg.rtp_age_s or 0:.1f} s ago",
            words.counts(leg),
        )  # fmt: skip
    where = f"our port {view.local.address}:{view.local.rtp}"
    evidence = (("our-address", f"{view.local.address}:{view.local.rtp}"), ("signalled", str(view.remote_rtp)),
                *words.counts(leg))  # fmt: skip
    if view.rtcp.received_packets:
        return words.finding(
            stream, leg, Cause.ONLY_RTCP, Confidence.LIKELY, f"{words.name(leg)} sends RTCP and no RTP to {where}",
            evidence,
        )  # fmt: skip
    unreachable = _unreachable(view.local.address, view.remote_rtp)
    if unreachable:
        return words.finding(stream, leg, Cause.PRIVATE_ADDRESS, Confidence.LIKELY,
                        f"nothing arrives from {words.name(leg)}: {unreachable}", evidence)  # fmt: skip
    if words.heard(other):
        return words.finding(
            stream, leg, Cause.ONE_WAY, Confidence.LIKELY,
            f"one way: {words.name(other)} is received ({other.view.rtp.received_packets} packets, "
            f"{view.rtp.sent_packets} sent on), nothing of {words.name(leg)} reaches {where}", evidence,
        )  # fmt: skip
    return words.finding(stream, leg, Cause.NOTHING_ARRIVES, Confidence.LIKELY,
                    f"nothing of {words.name(leg)} reaches {where}", evidence)  # fmt: skip


def _srtp_trailer(stream: StreamFacts, leg: LegFacts) -> int | None:
    return shape.longer_than_codec(
        leg.view.rtp.received_octets, leg.view.rtp.received_packets, tuple(stream.payload_types)
    )


def _unreachable(ours: str, theirs: Address | None) -> str:
    """Why the two addresses of a leg cannot reach each other; empty: they may."""
    if theirs is None:
        return ""
    here, there = _network(ours), _network(theirs.host)
    if here is None or there is None or here == there:
        return ""
    if there == "private":
        return f"the address in its SDP, {theirs}, is private and ours, {ours}, is public"
    return f"our address, {ours}, is private and the one in its SDP, {theirs}, is public"


def _network(host: str) -> str | None:
    """private, public, or None: says nothing (loopback, link-local, documentation, no address)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if any(address in network for network in PRIVATE):
        return "private"
    return "public" if address.is_global else None
