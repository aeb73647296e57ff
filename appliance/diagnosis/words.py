"""What the rules ask of a leg, and how they say it: names, counters, shares."""

from __future__ import annotations

from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.diagnosis.facts import LegFacts, Sample, StreamFacts

SILENT_S = 3.0  # no packet for so long: it stopped
SHARE = 0.05  # of what a leg sent; fewer failures than that are strays while media flows


def heard(leg: LegFacts) -> bool:
    """RTP of this leg came lately."""
    return leg.view.rtp.received_packets > 0 and leg.rtp_age_s is not None and leg.rtp_age_s <= SILENT_S


def matters(leg: LegFacts, *names: str, rtcp: bool = False) -> bool:
    """Whether these drops are more than strays among what the leg sent."""
    failures = sum(leg.view.drops.get(each, 0) for each in names)
    passed = leg.view.rtcp.received_packets if rtcp else leg.view.rtp.received_packets
    return failures > SHARE * (passed + failures) or not heard(leg)


def name(leg: LegFacts) -> str:
    peer = leg.view.learnt_rtp or leg.view.remote_rtp
    return f"leg {leg.side}" + (f" ({peer})" if peer else "")


def traffic(leg: LegFacts) -> str:
    return f"{leg.view.rtp.received_packets} packets from {name(leg)}, {leg.view.rtp.sent_packets} to it"


def counts(leg: LegFacts, prefix: str = "") -> tuple[tuple[str, str], ...]:
    view, age = leg.view, leg.rtp_age_s
    return (
        (f"{prefix}received", str(view.rtp.received_packets)), (f"{prefix}sent", str(view.rtp.sent_packets)),
        (f"{prefix}last-packet-age-s", "never" if age is None else f"{age:.1f}"),
    )  # fmt: skip


def drops(leg: LegFacts, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"drops-{each}", str(leg.view.drops[each])) for each in names if leg.view.drops.get(each))


def sources(leg: LegFacts, *names: str) -> tuple[tuple[str, str], ...]:
    found = [sample for sample in leg.samples if sample.drop in names and sample.source]
    return (("sample-source", str(_newest(found).source)),) if found else ()


def _newest(samples: list[Sample]) -> Sample:
    return min(samples, key=lambda sample: sample.age_s)


def finding(
    stream: StreamFacts, leg: LegFacts, cause: Cause, confidence: Confidence, sentence: str,
    evidence: tuple[tuple[str, str], ...], *, whole: bool = False,
) -> Finding:  # fmt: skip
    return Finding(
        cause, confidence, sentence, stream.view.index, "" if whole else leg.side, stream.view.via_branch, evidence
    )
