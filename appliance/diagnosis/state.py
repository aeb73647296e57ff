"""Keys, address and direction of a leg: what offer/answer left, not what the network did."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.diagnosis import words
from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.diagnosis.facts import LegFacts, StreamFacts


def left(stream: StreamFacts, leg: LegFacts, *, answered: bool) -> Iterator[Finding]:
    """Keys, address and direction: what offer/answer left, not what the network did."""
    view, media = leg.view, leg.media
    missing = [
        words for words, spec in (("for what it sends", media.receive), ("for what it is sent", media.send))
        if view.secure and spec is None
    ]  # fmt: skip
    if missing and (answered or view.drops.get("not_keyed")):
        yield words.finding(
            stream, leg, Cause.KEYS_MISSING, Confidence.CERTAIN,
            f"SRTP is required on {words.name(leg)} and there is no key {' or '.join(missing)}{_handshake(leg)}",
            words.drops(leg, "not_keyed"),
        )  # fmt: skip
    if view.drops.get("key_expired"):
        yield words.finding(
            stream, leg, Cause.KEY_EXPIRED, Confidence.CERTAIN,
            f"the lifetime of a master key of {words.name(leg)} is used up", words.drops(leg, "key_expired"),
        )  # fmt: skip
    if media.blocked:
        yield words.finding(
            stream, leg, Cause.BLOCKED, Confidence.CERTAIN, f"what {words.name(leg)} sends is blocked by command",
            words.drops(leg, "direction", "blocked"),
        )  # fmt: skip
    if answered and not media.may_send and not media.blocked:
        also = "" if media.may_receive else ", and it is sent nothing"
        yield words.finding(
            stream, leg, Cause.HELD, Confidence.CERTAIN,
            f"the direction attributes let nothing in from {words.name(leg)}{also}",
            (("may-send", "no"), ("may-receive", "yes" if media.may_receive else "no"), *words.drops(leg, "direction")),
        )  # fmt: skip
    other = stream.b if leg.side == "a" else stream.a
    if answered and view.remote_rtp is None and view.learnt_rtp is None and (media.may_receive or media.may_send):
        yield words.finding(
            stream, leg, Cause.NO_ADDRESS, Confidence.CERTAIN,
            f"no media address of {words.name(leg)} is known, so what {words.name(other)} sends has nowhere to go",
            words.drops(other, "no_partner"),
        )  # fmt: skip
    if view.drops.get("send") and view.drops["send"] > words.SHARE * (view.rtp.sent_packets + view.drops["send"]):
        yield words.finding(
            stream, leg, Cause.CANNOT_SEND, Confidence.LIKELY,
            f"the kernel refuses to send to {words.name(leg)} at {view.learnt_rtp or view.remote_rtp}",
            words.drops(leg, "send"),
        )  # fmt: skip
    if view.drops.get("tx_replay", 0) > words.SHARE * (view.rtp.sent_packets + 1):
        yield words.finding(
            stream, leg, Cause.SEQUENCE_REPEATED, Confidence.LIKELY,
            f"{words.name(other)} repeats sequence numbers, which cannot be protected twice towards {words.name(leg)}",
            words.drops(leg, "tx_replay"),
        )  # fmt: skip


def _handshake(leg: LegFacts) -> str:
    """How far the association is that keys would come of."""
    dtls = leg.view.dtls
    return f": its DTLS handshake is {dtls.state}" if dtls and dtls.state else ""
