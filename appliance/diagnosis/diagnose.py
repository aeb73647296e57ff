"""From the facts of a call to its findings.

    call        worker, answer
    each stream each leg: ICE                               (connectivity)
                keys, address, direction                    (state)
                failed packets, by trial and by their names (arrival, crypto)
                silence                                     (silence)
                nothing found: media flows
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.calls.views import CallState
from appliance.diagnosis import arrival, connectivity, silence, state, words
from appliance.diagnosis.causes import Cause, Confidence, Finding, ordered
from appliance.diagnosis.facts import CallFacts, LegFacts, StreamFacts

STALE_HEART_S = 2.0
WORKING = ("run", "drain", "drained")


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
    if not any(finding.fault for finding in found) and words.heard(stream.a) and words.heard(stream.b):
        yield words.finding(
            stream, stream.a, Cause.FLOWS, Confidence.CERTAIN,
            f"{stream.view.kind} flows both ways: {words.traffic(stream.a)}; {words.traffic(stream.b)}",
            (*words.counts(stream.a, "a-"), *words.counts(stream.b, "b-")), whole=True,
        )  # fmt: skip


def _waiting(call: CallFacts, stream: StreamFacts) -> Iterator[Finding]:
    if call.view.state is CallState.OFFERED and not (words.heard(stream.a) and words.heard(stream.b)):
        yield words.finding(
            stream, stream.b, Cause.WAITING_FOR_ANSWER, Confidence.CERTAIN,
            "the offer is out and not answered yet", (("state", "offered"),), whole=True,
        )  # fmt: skip


def _leg(call: CallFacts, stream: StreamFacts, leg: LegFacts) -> Iterator[Finding]:
    """Everything about what this leg's peer sends, and about sending to it."""
    answered = call.view.state is not CallState.OFFERED
    unconnected = connectivity.broken(stream, leg) if answered else None
    found = [*state.left(stream, leg, answered=answered), *(failed := list(arrival.failed(call, stream, leg)))]
    if unconnected is not None:
        yield unconnected
        yield from (finding for finding in found if finding.cause not in connectivity.HIDES)
        return
    yield from found
    silent = silence.silence(stream, leg) if answered and silence.expected(stream, leg) else None
    if silent is not None and not any(finding.fault for finding in failed):
        yield silent
