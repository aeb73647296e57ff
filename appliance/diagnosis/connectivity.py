"""ICE of a leg: what keeps it from having a pair that media may take."""

from __future__ import annotations

from appliance.calls.media import IceMedia
from appliance.calls.views import IceState
from appliance.diagnosis import words
from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.diagnosis.facts import LegFacts, StreamFacts
from appliance.protocols.ice import candidate as candidates

HIDES = frozenset({Cause.NO_ADDRESS, Cause.OTHER_SOURCE})  # what follows from having no pair


def broken(stream: StreamFacts, leg: LegFacts) -> Finding | None:
    """None: a pair is selected and consents, or there is no ICE."""
    seen, ice = leg.view.ice, leg.media.ice
    if seen is None or ice is None or seen.state is IceState.CONNECTED or words.heard(leg):
        return None
    ours = leg.view.local
    where = f"{ours.address}:{ours.rtp}"
    evidence = (
        ("our-address", where), ("checks-answered", str(seen.checks_answered)),
        *((f"refused-{reason}", str(number)) for reason, number in sorted(seen.refused.items())),
        ("candidates", str(len(ice.candidates))), *words.drops(leg, "source"), *words.sources(leg, "source"),
    )  # fmt: skip
    cause, sure, sentence = _of(seen.state, leg, where)
    if not seen.lite:
        sentence += _reach(ice, ours.address)
    return words.finding(stream, leg, cause, sure, sentence, evidence)


def _of(state: IceState, leg: LegFacts, where: str) -> tuple[Cause, Confidence, str]:
    seen, name = leg.view.ice, words.name(leg)
    assert seen is not None
    if state is IceState.CONSENT_LOST:
        ago = f", the last {seen.consent_age_s:.0f} s ago" if seen.consent_age_s is not None else ""
        return Cause.ICE_CONSENT_LOST, Confidence.CERTAIN, f"the ICE pair of {name} gives no consent any more{ago}"
    if state is IceState.REFUSED:
        wrong = "password" if seen.refused.get("integrity") else "user fragment"
        number = sum(seen.refused.get(reason, 0) for reason in ("user", "integrity"))
        return Cause.ICE_CREDENTIALS, Confidence.CERTAIN, f"{number} checks of {name} have a wrong ICE {wrong}"
    if state is IceState.NO_CHECKS:
        other = leg.view.drops.get("source", 0)
        also = f", although {other} others did (media, DTLS): it does no ICE, or STUN is filtered" if other else ""
        return Cause.ICE_NO_CHECKS, Confidence.LIKELY, f"no connectivity check of {name} reaches our port {where}{also}"
    done = "nominates no pair" if seen.lite else "answers none of ours"
    return (
        Cause.ICE_NO_PAIR, Confidence.LIKELY,
        f"{name} checks ({seen.checks_answered} checks answered) and {done}",
    )  # fmt: skip


def _reach(ice: IceMedia, base: str) -> str:
    """Which of the peer's candidates a full agent of ours can check at all."""
    usable = [one for one in candidates.read(ice.candidates) if candidates.reachable(one.host, base)]
    if usable or not ice.candidates:
        return "" if usable else ", and its SDP names no candidate"
    return f", and of its {len(ice.candidates)} candidates none can be checked from {base} (names, TCP, other networks)"
