"""From the facts of a call to its findings.

    call        worker, answer
    each stream each leg: keys, address, direction         (state of our own)
                failed packets, by trial                    (crypto.py)
                other drops, by their names and sources
                silence
                nothing found: media flows
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from appliance.calls.media import Address
from appliance.calls.views import CallState
from appliance.diagnosis import crypto, shape
from appliance.diagnosis.causes import Cause, Confidence, Finding, ordered
from appliance.diagnosis.facts import CallFacts, LegFacts, Sample, StreamFacts

STALE_HEART_S = 2.0
SILENT_S = 3.0  # no packet for so long: it stopped
SHARE = 0.05  # of what a leg sent; fewer failures than that are strays while media flows
COPIES_SHARE = 0.2
CRYPTO_DROPS = ("auth_fail", "unknown_mki", "too_short", "encryption_flag", "malformed", "replay_old")
WORKING = ("run", "drain", "drained")
PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def diagnose(call: CallFacts) -> tuple[Finding, ...]:
    """Ordered findings, worst first; never empty for a call with streams."""
    findings = list(_call(call))
    for stream in call.streams:
        findings.extend(_stream(call, stream))
    return ordered(findings)


def _call(call: CallFacts) -> Iterator[Finding]:
    if call.worker_state not in WORKING or call.heartbeat_age_s > STALE_HEART_S:
        yield Finding(
            Cause.WORKER_DOWN, Confidence.CERTAIN,
            f"worker {call.view.worker}, which carries the call, is not running (state {call.worker_state}, last sign "
            f"of life {call.heartbeat_age_s:.1f} s ago)",
            evidence=(("worker", str(call.view.worker)), ("state", call.worker_state),
                      ("heartbeat-age-s", f"{call.heartbeat_age_s:.1f}")),
        )  # fmt: skip


def _stream(call: CallFacts, stream: StreamFacts) -> Iterator[Finding]:
    found = [
        *_waiting(call, stream),
        *(finding for side in "ab" for finding in _leg(call, stream, stream.leg(side))),
    ]
    yield from found
    if not any(finding.fault for finding in found) and _heard(stream.a) and _heard(stream.b):
        yield _finding(
            stream, stream.a, Cause.FLOWS, Confidence.CERTAIN,
            f"{stream.view.kind} flows both ways: {_traffic(stream.a)}; {_traffic(stream.b)}",
            (*_counts(stream.a, "a-"), *_counts(stream.b, "b-")), whole=True,
        )  # fmt: skip


def _waiting(call: CallFacts, stream: StreamFacts) -> Iterator[Finding]:
    if call.view.state is CallState.OFFERED and not (_heard(stream.a) and _heard(stream.b)):
        yield _finding(
            stream, stream.b, Cause.WAITING_FOR_ANSWER, Confidence.CERTAIN,
            "the offer is out and not answered yet", (("state", "offered"),), whole=True,
        )  # fmt: skip


def _leg(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """Everything about what this leg's peer sends, and about sending to it."""
    answered = call.view.state is not CallState.OFFERED
    yield from _ours(stream, leg, answered=answered)
    failed = list(_failed(call, stream, leg))
    yield from failed
    silent = _silence(stream, leg) if answered and _expected(stream, leg) else None
    if silent is not None and not any(finding.fault for finding in failed):
        yield silent


# ---------------------------------------------------------------- our own state


def _ours(stream: StreamFacts, leg: LegFacts, *, answered: bool) -> Iterator[Finding]:
    """Keys, address and direction: what offer/answer left, not what the network did."""
    view, media = leg.view, leg.media
    missing = [
        words for words, spec in (("for what it sends", media.receive), ("for what it is sent", media.send))
        if view.secure and spec is None
    ]  # fmt: skip
    if missing and (answered or view.drops.get("not_keyed")):
        yield _finding(
            stream, leg, Cause.KEYS_MISSING, Confidence.CERTAIN,
            f"SRTP is required on {_name(leg)} and there is no key {' or '.join(missing)}", _drops(leg, "not_keyed"),
        )  # fmt: skip
    if view.drops.get("key_expired"):
        yield _finding(
            stream, leg, Cause.KEY_EXPIRED, Confidence.CERTAIN,
            f"the lifetime of a master key of {_name(leg)} is used up", _drops(leg, "key_expired"),
        )  # fmt: skip
    if media.blocked:
        yield _finding(
            stream, leg, Cause.BLOCKED, Confidence.CERTAIN, f"what {_name(leg)} sends is blocked by command",
            _drops(leg, "direction", "blocked"),
        )  # fmt: skip
    if answered and not media.may_send and not media.blocked:
        also = "" if media.may_receive else ", and it is sent nothing"
        yield _finding(
            stream, leg, Cause.HELD, Confidence.CERTAIN,
            f"the direction attributes let nothing in from {_name(leg)}{also}",
            (("may-send", "no"), ("may-receive", "yes" if media.may_receive else "no"), *_drops(leg, "direction")),
        )  # fmt: skip
    other = stream.b if leg.side == "a" else stream.a
    if answered and view.remote_rtp is None and view.learnt_rtp is None and (media.may_receive or media.may_send):
        yield _finding(
            stream, leg, Cause.NO_ADDRESS, Confidence.CERTAIN,
            f"no media address of {_name(leg)} is known, so what {_name(other)} sends has nowhere to go",
            _drops(other, "no_partner"),
        )  # fmt: skip
    if view.drops.get("send") and view.drops["send"] > SHARE * (view.rtp.sent_packets + view.drops["send"]):
        yield _finding(
            stream, leg, Cause.CANNOT_SEND, Confidence.LIKELY,
            f"the kernel refuses to send to {_name(leg)} at {view.learnt_rtp or view.remote_rtp}", _drops(leg, "send"),
        )  # fmt: skip
    if view.drops.get("tx_replay", 0) > SHARE * (view.rtp.sent_packets + 1):
        yield _finding(
            stream, leg, Cause.SEQUENCE_REPEATED, Confidence.LIKELY,
            f"{_name(other)} repeats sequence numbers, which cannot be protected twice towards {_name(leg)}",
            _drops(leg, "tx_replay"),
        )  # fmt: skip


# ---------------------------------------------------------------- what failed on its way in


def _failed(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    drops = leg.view.drops
    if any(drops.get(name) for name in CRYPTO_DROPS) and leg.media.receive is not None:
        yield from _by_trial(call, stream, leg)
    if drops.get("encryption_flag") and _matters(leg, "encryption_flag", rtcp=True):
        yield _finding(
            stream, leg, Cause.ENCRYPTION_FLAG, Confidence.CERTAIN,
            f"SRTCP of {_name(leg)} verifies, and its E bit is not the negotiated one", _drops(leg, "encryption_flag"),
        )  # fmt: skip
    if drops.get("ssrc_limit") and _matters(leg, "ssrc_limit"):
        limit = leg.media.receive.ssrc_limit if leg.media.receive else 0
        yield _finding(
            stream, leg, Cause.SSRC_LIMIT, Confidence.CERTAIN,
            f"{_name(leg)} uses more SSRCs than the {limit} that a context may have",
            (("ssrc-limit", str(limit)), *_drops(leg, "ssrc_limit")),
        )  # fmt: skip
    yield from _copies(call, stream, leg)
    yield from _wrong_port(stream, leg)
    yield from _other_source(stream, leg)
    if leg.media.receive is None and drops.get("malformed") and _matters(leg, "malformed"):
        yield _finding(
            stream, leg, Cause.MALFORMED, Confidence.LIKELY, f"what arrives from {_name(leg)} is no RTP",
            (*_drops(leg, "malformed"), *_sources(leg, "malformed")),
        )  # fmt: skip


def _by_trial(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    names = [name for name in CRYPTO_DROPS if leg.view.drops.get(name)]
    matters = _matters(leg, *names)
    for cause, confidence, sentence, evidence in crypto.judge(leg, stream, call.streams):
        rtcp_only = cause is Cause.SRTCP_TAG_LENGTH
        if not matters and not rtcp_only:
            cause, sentence = Cause.STRAY_PACKETS, f"a few packets fail while media flows: {sentence}"
        yield _finding(stream, leg, cause, confidence, f"{_name(leg)}: {sentence}", (*_drops(leg, *names), *evidence))


def _copies(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """Replays: our own packets coming back, or every packet twice."""
    number = leg.view.drops.get("replay", 0)
    samples = [sample for sample in leg.samples if sample.drop in ("replay", "source", "auth_fail") and sample.source]
    ours = {
        Address(each.view.local.address, port)
        for other in call.streams
        for each in (other.a, other.b)
        for port in (each.view.local.rtp, each.view.local.rtcp)
    }
    back = next((sample for sample in samples if sample.source in ours), None)
    if back is not None:
        yield _finding(
            stream, leg, Cause.LOOP, Confidence.CERTAIN,
            f"packets arrive on {_name(leg)} from {back.source}, which is a port of this very call",
            (*_drops(leg, "replay", "source", "auth_fail"), ("sample-source", str(back.source))),
        )  # fmt: skip
    elif number > COPIES_SHARE * (leg.view.rtp.received_packets + number):
        yield _finding(
            stream, leg, Cause.DUPLICATES, Confidence.LIKELY,
            f"{number} packets of {_name(leg)} came more than once, {leg.view.rtp.received_packets} once",
            (*_drops(leg, "replay"), *_counts(leg), *_sources(leg, "replay")),
        )  # fmt: skip


def _wrong_port(stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """RTP at the RTCP port, RTCP at the RTP port (without rtcp-mux)."""
    crossed = [s for s in leg.samples if s.drop == "unknown_kind" and s.kind == ("rtp" if s.rtcp_port else "rtcp")]
    if not crossed:
        return
    rtp = next((sample for sample in crossed if sample.kind == "rtp"), None)
    sample = rtp or crossed[0]
    ours = leg.view.local.rtcp if sample.rtcp_port else leg.view.local.rtp
    other = leg.view.local.rtp if sample.rtcp_port else leg.view.local.rtcp
    yield _finding(
        stream, leg, Cause.WRONG_PORT, Confidence.CERTAIN,
        f"{_name(leg)} sends {sample.kind.upper()} to our port {ours}; it belongs to {other}",
        (*_drops(leg, "unknown_kind"), ("sample-source", str(sample.source)), ("port", str(ours))),
    )  # fmt: skip


def _other_source(stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    number, view = leg.view.drops.get("source", 0), leg.view
    sources = [s.source for s in leg.samples if s.drop == "source" and s.source and s.kind == "rtp"]
    sources = sources or [s.source for s in leg.samples if s.drop == "source" and s.source]
    if not number or not sources:
        return
    expected = view.learnt_rtp or view.remote_rtp
    matters = _matters(leg, "source")
    yield _finding(
        stream, leg, Cause.OTHER_SOURCE if matters else Cause.STRAY_PACKETS,
        Confidence.LIKELY if matters else Confidence.CERTAIN,
        f"{number} packets came to {_name(leg)} from {sources[-1]} and not from {expected}"
        + ("" if matters else ", while media flows"),
        (*_drops(leg, "source"), ("sample-source", str(sources[-1])), ("expected", str(expected)),
         ("latching", view.latching)),
    )  # fmt: skip


# ---------------------------------------------------------------- silence


def _expected(stream: StreamFacts, leg: LegFacts) -> bool:
    """Whether media should come from this leg."""
    return leg.media.may_send and not leg.media.blocked and not (leg.view.secure and leg.media.receive is None)


def _silence(stream: StreamFacts, leg: LegFacts) -> Finding | None:
    view, other = leg.view, stream.b if leg.side == "a" else stream.a
    if _heard(leg):
        over = None if view.secure else _srtp_trailer(stream, leg)
        if over is None:
            return None
        return _finding(
            stream, leg, Cause.SRTP_ON_PLAIN_LEG, Confidence.POSSIBLE,
            f"{_name(leg)} sends {over} octets more in each packet than its codec has: as long as an SRTP tag",
            (*_counts(leg), ("payload-type", str(stream.payload_types[0])), ("octets-over", str(over))),
        )  # fmt: skip
    if view.rtp.received_packets:
        return _finding(
            stream, leg, Cause.STOPPED, Confidence.CERTAIN,
            f"{_name(leg)} sent {view.rtp.received_packets} packets, the last {leg.rtp_age_s or 0:.1f} s ago",
            _counts(leg),
        )  # fmt: skip
    where = f"our port {view.local.address}:{view.local.rtp}"
    evidence = (("our-address", f"{view.local.address}:{view.local.rtp}"), ("signalled", str(view.remote_rtp)),
                *_counts(leg))  # fmt: skip
    if view.rtcp.received_packets:
        return _finding(
            stream, leg, Cause.ONLY_RTCP, Confidence.LIKELY, f"{_name(leg)} sends RTCP and no RTP to {where}", evidence
        )
    unreachable = _unreachable(view.local.address, view.remote_rtp)
    if unreachable:
        return _finding(stream, leg, Cause.PRIVATE_ADDRESS, Confidence.LIKELY,
                        f"nothing arrives from {_name(leg)}: {unreachable}", evidence)  # fmt: skip
    if _heard(other):
        return _finding(
            stream, leg, Cause.ONE_WAY, Confidence.LIKELY,
            f"one way: {_name(other)} is received ({other.view.rtp.received_packets} packets, "
            f"{view.rtp.sent_packets} sent on), nothing of {_name(leg)} reaches {where}", evidence,
        )  # fmt: skip
    return _finding(stream, leg, Cause.NOTHING_ARRIVES, Confidence.LIKELY,
                    f"nothing of {_name(leg)} reaches {where}", evidence)  # fmt: skip


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


# ---------------------------------------------------------------- words and numbers


def _heard(leg: LegFacts) -> bool:
    """RTP of this leg came lately."""
    return leg.view.rtp.received_packets > 0 and leg.rtp_age_s is not None and leg.rtp_age_s <= SILENT_S


def _matters(leg: LegFacts, *names: str, rtcp: bool = False) -> bool:
    """Whether these drops are more than strays among what the leg sent."""
    failed = sum(leg.view.drops.get(name, 0) for name in names)
    passed = leg.view.rtcp.received_packets if rtcp else leg.view.rtp.received_packets
    return failed > SHARE * (passed + failed) or not _heard(leg)


def _name(leg: LegFacts) -> str:
    peer = leg.view.learnt_rtp or leg.view.remote_rtp
    return f"leg {leg.side}" + (f" ({peer})" if peer else "")


def _traffic(leg: LegFacts) -> str:
    return f"{leg.view.rtp.received_packets} packets from {_name(leg)}, {leg.view.rtp.sent_packets} to it"


def _counts(leg: LegFacts, prefix: str = "") -> tuple[tuple[str, str], ...]:
    view, age = leg.view, leg.rtp_age_s
    return (
        (f"{prefix}received", str(view.rtp.received_packets)), (f"{prefix}sent", str(view.rtp.sent_packets)),
        (f"{prefix}last-packet-age-s", "never" if age is None else f"{age:.1f}"),
    )  # fmt: skip


def _drops(leg: LegFacts, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"drops-{name}", str(leg.view.drops[name])) for name in names if leg.view.drops.get(name))


def _sources(leg: LegFacts, *names: str) -> tuple[tuple[str, str], ...]:
    found = [sample for sample in leg.samples if sample.drop in names and sample.source]
    return (("sample-source", str(_newest(found).source)),) if found else ()


def _newest(samples: list[Sample]) -> Sample:
    return min(samples, key=lambda sample: sample.age_s)


def _finding(
    stream: StreamFacts, leg: LegFacts, cause: Cause, confidence: Confidence, sentence: str,
    evidence: tuple[tuple[str, str], ...], *, whole: bool = False,
) -> Finding:  # fmt: skip
    return Finding(
        cause, confidence, sentence, stream.view.index, "" if whole else leg.side, stream.view.via_branch, evidence
    )
