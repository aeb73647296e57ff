"""Causes that kept packets prove or make likely: wrong key, tag, MKI, rollover counter, no SRTP at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from appliance.calls.media import ContextSpec
from appliance.diagnosis import shape, trial
from appliance.diagnosis.causes import Cause, Confidence
from appliance.diagnosis.facts import LegFacts, Sample, StreamFacts
from appliance.diagnosis.trial import Match, Origin, Question
from appliance.protocols.srtp import suites
from appliance.protocols.srtp.transform import STREAM_CIPHERS, Place

TRIED_DROPS = ("auth_fail", "unknown_mki", "too_short", "replay_old")
MOST_TRIALS = 4  # packets of one leg; a trial costs milliseconds
Answer = tuple[Cause, Confidence, str, tuple[tuple[str, str], ...]]  # cause, how sure, sentence, evidence

ORIGINS = {
    Origin.OURS: Cause.KEY_SWAPPED,
    Origin.EARLIER: Cause.KEY_BEFORE_REKEY,
    Origin.OTHER_LEG: Cause.KEY_OF_OTHER_LEG,
    Origin.OTHER_STREAM: Cause.KEY_OF_OTHER_STREAM,
}
WHOSE = {
    Origin.OURS: "the key that we gave it for what we send",
    Origin.EARLIER: "the key from before the last re-key",
    Origin.OTHER_LEG: "a key of the other leg",
    Origin.OTHER_STREAM: "a key of another stream of this call",
}


def judge(leg: LegFacts, stream: StreamFacts, others: Iterable[StreamFacts]) -> Iterator[Answer]:
    """What the failed packets of a secure leg say; each cause once, RTP before RTCP."""
    spec = leg.media.receive
    if spec is None or suites.find(spec.suite) is None or not spec.keys:
        return
    candidates = trial.candidates(
        spec, leg.media.send, (*leg.media.receive_also, *leg.earlier), _contexts(stream, leg),
        (context for other in others if other is not stream for context in _contexts(other, None)),
    )  # fmt: skip
    told: set[Cause] = set()
    for sample in islice(_worth_trying(leg.samples), MOST_TRIALS):
        answer = _judge_one(leg, spec, sample, candidates)
        if answer is not None and answer[0] not in told:
            told.add(answer[0])
            yield answer


def _worth_trying(samples: Sequence[Sample]) -> Iterator[Sample]:
    """The newest of RTP, the newest of RTCP, then the rest."""
    usable = sorted(
        (s for s in samples if s.drop in TRIED_DROPS and s.kind in ("rtp", "rtcp") and s.whole), key=lambda s: s.age_s
    )
    first = [next((s for s in usable if s.kind == kind), None) for kind in ("rtp", "rtcp")]
    chosen = [sample for sample in first if sample is not None]
    yield from chosen
    yield from (sample for sample in usable if all(sample is not other for other in chosen))


def _judge_one(
    leg: LegFacts, spec: ContextSpec, sample: Sample, candidates: tuple[trial.Candidate, ...]
) -> Answer | None:
    rtcp = sample.kind == "rtcp"
    roc = leg.view.receive.roc if leg.view.receive else 0
    match = trial.solve(Question(sample.data, rtcp, spec, candidates, roc))
    if match is not None:
        return _explain(match, spec, roc, sample)
    if shape.plain_rtcp(sample.data) if rtcp else shape.plain_rtp(sample.data):
        return _without_trailer(spec, sample, candidates, rtcp=rtcp)
    if sample.drop == "unknown_mki":
        return (
            Cause.MKI_UNKNOWN, Confidence.LIKELY,
            "its packets carry an MKI that no key of the call has, and no known key fits without one",
            _seen(sample),
        )  # fmt: skip
    if sample.drop != "auth_fail":
        return None
    return (
        Cause.WRONG_KEY, Confidence.LIKELY,
        f"no key of this call, tag length, MKI or rollover counter within {trial.ROC_NEAR} turns explains its "
        f"{'SRTCP' if rtcp else 'SRTP'} packets",
        (*_seen(sample), ("keys-tried", str(len(candidates)))),
    )  # fmt: skip


def _explain(match: Match, spec: ContextSpec, roc: int, sample: Sample) -> Answer | None:
    """The one thing in which the packet differs from what was agreed; None: in nothing (it came before its key)."""
    rtcp = sample.kind == "rtcp"
    agreed_tag, agreed_mki = trial.agreed_tag(spec, rtcp=rtcp), trial.mki_octets(spec)
    name = "SRTCP" if rtcp else "SRTP"
    evidence = (
        *_seen(sample), ("tag-octets", str(match.tag)), ("tag-octets-agreed", str(agreed_tag)),
        ("mki-octets", str(match.mki)), ("mki-octets-agreed", str(agreed_mki)),
        *((("roc", str(match.roc)), ("roc-here", str(roc))) if match.roc is not None else ()),
    )  # fmt: skip
    cause, sentence = None, ""
    if match.origin is not Origin.AGREED:
        cause, sentence = ORIGINS[match.origin], f"its {name} packets verify under {WHOSE[match.origin]}"
    elif match.legacy_192 != spec.legacy_192:
        whose = "as libsrtp 2.2 to 2.7 do" if match.legacy_192 else "as RFC 6188 says"
        cause, sentence = Cause.AES_192_LEGACY, f"its AES-192 keys are derived {whose}, ours are not"
    elif match.mki != agreed_mki:
        cause, sentence = _mki(match.mki, agreed_mki, name)
    elif match.tag != agreed_tag:
        cause = Cause.SRTCP_TAG_LENGTH if rtcp else Cause.TAG_LENGTH
        sentence = f"its {name} packets carry a tag of {match.tag} octets; {spec.suite} has {agreed_tag} here"
    elif match.roc is not None and match.roc != roc:
        cause = Cause.ROC_RESET if match.roc == 0 and roc > 1 else Cause.ROC_OFF
        sentence = f"its rollover counter is {match.roc}, ours is {roc}"
    return None if cause is None else (cause, Confidence.CERTAIN, sentence, evidence)


def _mki(seen: int, agreed: int, name: str) -> tuple[Cause, str]:
    if agreed == 0:
        return Cause.MKI_NOT_NEGOTIATED, f"its {name} packets carry an MKI of {seen} octets; none was negotiated"
    if seen == 0:
        return Cause.MKI_MISSING, f"its {name} packets carry no MKI; one of {agreed} octets was negotiated"
    return Cause.MKI_LENGTH, f"its {name} packets carry an MKI of {seen} octets; {agreed} were negotiated"


def _without_trailer(
    spec: ContextSpec, sample: Sample, candidates: tuple[trial.Candidate, ...], *, rtcp: bool
) -> Answer:
    """The size leaves no room for a tag: plain RTP, or SRTP without authentication."""
    name = "RTCP" if rtcp else "RTP"
    evidence = (*_seen(sample), ("payload-type", str(sample.data[1] & 0x7F)))
    payload = shape.payload_of(sample.data)
    if not rtcp and shape.looks_random(payload) and not shape.looks_random(_decrypted(spec, sample.data, candidates)):
        return (
            Cause.NULL_AUTH, Confidence.LIKELY,
            "its packets are encrypted under the agreed key and carry no tag (AES_CM_128_NULL_AUTH, "
            "UNAUTHENTICATED_SRTP)", evidence,
        )  # fmt: skip
    sure = Confidence.POSSIBLE if not rtcp and shape.looks_random(payload) else Confidence.LIKELY
    sentence = f"its packets are as long as plain {name} of their type and leave no room for a tag"
    return Cause.PLAIN_RTP_ON_SECURE_LEG, sure, sentence, evidence


def _decrypted(spec: ContextSpec, packet: bytes, candidates: tuple[trial.Candidate, ...]) -> bytes:
    """The payload under the agreed key in counter mode at ROC 0, for its statistics only; empty for AEAD suites."""
    suite = suites.find(spec.suite)
    payload = shape.payload_of(packet)
    if suite is None or suite.auth == "NONE" or not candidates:
        return payload
    keys = trial.session_keys(suite, candidates[0], rtcp=False)
    sequence, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
    return STREAM_CIPHERS[suite.cipher](keys, Place(ssrc, sequence, packet[:12], rtcp=False), payload)


def _contexts(stream: StreamFacts, but: LegFacts | None) -> tuple[ContextSpec, ...]:
    legs = [leg for leg in (stream.a, stream.b) if leg is not but]
    return tuple(spec for leg in legs for spec in (leg.media.receive, leg.media.send) if spec is not None)


def _seen(sample: Sample) -> tuple[tuple[str, str], ...]:
    return (
        ("sample-drop", sample.drop), ("sample-octets", str(sample.length)), ("sample-source", str(sample.source)),
        ("sample-age-s", f"{sample.age_s:.1f}"),
    )  # fmt: skip
