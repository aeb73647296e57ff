"""What came from a leg and was dropped: by trial on kept packets, then by the names of the drops and their sources."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.calls.media import Address
from appliance.diagnosis import crypto, words
from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.diagnosis.facts import CallFacts, LegFacts, Sample, StreamFacts

COPIES_SHARE = 0.2  # of what a leg sent
CRYPTO_DROPS = ("auth_fail", "unknown_mki", "too_short", "encryption_flag", "malformed", "replay_old")
NO_RTP = ("malformed", "too_short", "unknown_kind")


def failed(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    drops = leg.view.drops
    proven = list(_by_trial(call, stream, leg)) if leg.media.receive is not None else []
    yield from proven
    if drops.get("encryption_flag") and words.matters(leg, "encryption_flag", rtcp=True):
        yield words.finding(
            stream, leg, Cause.ENCRYPTION_FLAG, Confidence.CERTAIN,
            f"SRTCP of {words.name(leg)} verifies, and its E bit is not the negotiated one",
            words.drops(leg, "encryption_flag"),
        )  # fmt: skip
    if drops.get("ssrc_limit") and words.matters(leg, "ssrc_limit"):
        limit = leg.media.receive.ssrc_limit if leg.media.receive else 0
        yield words.finding(
            stream, leg, Cause.SSRC_LIMIT, Confidence.CERTAIN,
            f"{words.name(leg)} uses more SSRCs than the {limit} that a context may have",
            (("ssrc-limit", str(limit)), *words.drops(leg, "ssrc_limit")),
        )  # fmt: skip
    yield from _copies(call, stream, leg)
    yield from _wrong_port(stream, leg)
    yield from _other_source(stream, leg)
    if not proven:
        yield from _unexplained(stream, leg)


def _by_trial(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    names = [name for name in CRYPTO_DROPS if leg.view.drops.get(name)]
    if not names:
        return
    matters = words.matters(leg, *names)
    for cause, confidence, sentence, evidence in crypto.judge(leg, stream, call.streams):
        rtcp_only = cause is Cause.SRTCP_TAG_LENGTH
        if not matters and not rtcp_only:
            cause, sentence = Cause.STRAY_PACKETS, f"a few packets fail while media flows: {sentence}"
        seen = (*words.drops(leg, *names), *evidence)
        yield words.finding(stream, leg, cause, confidence, f"{words.name(leg)}: {sentence}", seen)


def _unexplained(stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """Packets that failed and no sample says why: others took its place, or it was longer than is kept."""
    failed = leg.view.drops.get("auth_fail", 0)
    tried = any(sample.drop == "auth_fail" and sample.whole for sample in leg.samples)
    if failed and not tried and words.matters(leg, "auth_fail"):
        yield words.finding(
            stream, leg, Cause.WRONG_KEY, Confidence.POSSIBLE,
            f"{failed} packets of {words.name(leg)} do not authenticate, and none of them is kept whole",
            words.drops(leg, "auth_fail"),
        )  # fmt: skip
    crossed = any(_crossed(sample) for sample in leg.samples)
    names = [name for name in NO_RTP if leg.view.drops.get(name) and not (name == "unknown_kind" and crossed)]
    if names and words.matters(leg, *names):
        yield words.finding(
            stream, leg, Cause.MALFORMED, Confidence.LIKELY, f"what arrives from {words.name(leg)} is no RTP",
            (*words.drops(leg, *names), *words.sources(leg, *names)),
        )  # fmt: skip


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
        yield words.finding(
            stream, leg, Cause.LOOP, Confidence.CERTAIN,
            f"packets arrive on {words.name(leg)} from {back.source}, which is a port of this very call",
            (*words.drops(leg, "replay", "source", "auth_fail"), ("sample-source", str(back.source))),
        )  # fmt: skip
    elif number > COPIES_SHARE * (leg.view.rtp.received_packets + number):
        yield words.finding(
            stream, leg, Cause.DUPLICATES, Confidence.LIKELY,
            f"{number} packets of {words.name(leg)} came more than once, {leg.view.rtp.received_packets} once",
            (*words.drops(leg, "replay"), *words.counts(leg), *words.sources(leg, "replay")),
        )  # fmt: skip


def _wrong_port(stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """RTP at the RTCP port, RTCP at the RTP port (without rtcp-mux)."""
    crossed = [sample for sample in leg.samples if _crossed(sample)]
    if not crossed:
        return
    rtp = next((sample for sample in crossed if sample.kind == "rtp"), None)
    sample = rtp or crossed[0]
    ours = leg.view.local.rtcp if sample.rtcp_port else leg.view.local.rtp
    other = leg.view.local.rtp if sample.rtcp_port else leg.view.local.rtcp
    yield words.finding(
        stream, leg, Cause.WRONG_PORT, Confidence.CERTAIN,
        f"{words.name(leg)} sends {sample.kind.upper()} to our port {ours}; it belongs to {other}",
        (*words.drops(leg, "unknown_kind"), ("sample-source", str(sample.source)), ("port", str(ours))),
    )  # fmt: skip


def _crossed(sample: Sample) -> bool:
    return sample.drop == "unknown_kind" and sample.kind == ("rtp" if sample.rtcp_port else "rtcp")


def _other_source(stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    number, view = leg.view.drops.get("source", 0), leg.view
    sources = [s.source for s in leg.samples if s.drop == "source" and s.source and s.kind == "rtp"]
    sources = sources or [s.source for s in leg.samples if s.drop == "source" and s.source]
    if not number or not sources:
        return
    expected = view.learnt_rtp or view.remote_rtp
    if sources[-1] == expected:
        return  # they came before it was known, or before ICE had a pair
    matters = words.matters(leg, "source")
    yield words.finding(
        stream, leg, Cause.OTHER_SOURCE if matters else Cause.STRAY_PACKETS,
        Confidence.LIKELY if matters else Confidence.CERTAIN,
        f"{number} packets came to {words.name(leg)} from {sources[-1]} and not from {expected}"
        + ("" if matters else ", while media flows"),
        (*words.drops(leg, "source"), ("sample-source", str(sources[-1])), ("expected", str(expected)),
         ("latching", view.latching)),
    )  # fmt: skip
