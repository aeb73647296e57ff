"""The table of bare words in `flags`: what each does. docs/ng.md is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.calls.media import Latching
from appliance.policy.options import Ice
from appliance.protocols.ng.wishes import NO_DTMF, NO_RECORDING, NO_TRANSCODING, Done, Wishes, Word

_ALWAYS, _IGNORED, _NO = Done.ALWAYS, Done.IGNORED, Done.NO


def _field(**change: Any) -> Callable[[Wishes], None]:
    return lambda wishes: wishes.media.update(change)


def _missing(word: str, help: str) -> Word:
    return Word(lambda wishes: wishes.unavailable.append(word), help, _NO)


def _webrtc(wishes: Wishes) -> None:
    """rtpengine's alias for what a browser needs. DTLS-SRTP is what it asks for: no fall-back to anything weaker."""
    wishes.media |= {"transport_protocol": "UDP/TLS/RTP/SAVPF", "ice": Ice.FORCE, "rtcp_attribute": False}
    wishes.media["trickle"] = True
    wishes.flags.add("generate-mid")
    wishes.media["rtcp_mux"] = wishes.media.get("rtcp_mux", frozenset()) | {"offer", "require"}
    wishes.sdes.change["enabled"] = False


def _shut(wishes: Wishes) -> None:
    wishes.media["latching"] = Latching.OFF


_SAME = _field()

WORDS: dict[str, Word] = {
    "trust-address": Word(_field(use_received_from=False), "send media to the address of the SDP (default)"),
    "sip-source-address": Word(_field(use_received_from=True), "send media to `received-from` instead"),
    "symmetric": Word(_SAME, "default", _ALWAYS),
    "asymmetric": Word(_shut, "learn no address"),
    "strict-source": Word(_SAME, "sources are always checked", _ALWAYS),
    "media-handover": _missing(
        "media-handover", "a plain leg never moves to an unauthenticated source (RTP bleed); a secure leg always does "
        "with the first authenticated packet"),
    "nat-wait": _missing("NAT-wait", "hold media back until the peer has sent"),
    "pierce-nat": _missing("pierce-NAT", "send empty packets first"),
    "port-latching": Word(_SAME, "a stream keeps its ports for the life of the call", _ALWAYS),
    "no-port-latching": Word(_SAME, "", _IGNORED),
    "no-rtcp-xr": Word(_field(rtcp_xr=False), "ours: a=rtcp-xr of this side is not passed on (RFC 3611 section 5)"),
    "avp-feedback-offer": Word(
        _field(avp_feedback=True), "ours: a=rtcp-fb goes to the other side under RTP/AVP too; where its answer has it, "
        "feedback passes as with AVPF"),
    "avp-feedback-accept": Word(_field(avp_feedback_from=True), "ours: the same where this side's SDP has it"),
    "no-rtcp-attribute": Word(_field(rtcp_attribute=False), "never write a=rtcp"),
    "full-rtcp-attribute": Word(_SAME, "a=rtcp with the address"),
    "early-media": Word(_SAME, "for rtpengine's player", _IGNORED),
    "reset": Word(_SAME, "nothing about a peer's abilities is remembered", _ALWAYS),
    "new-branch": Word(_SAME, "the offer starts a further branch of the call"),
    "provisional": Word(_SAME, "an answer may come again, with another to-tag too", _ALWAYS),
    "loop-protect": Word(_SAME, "mark the SDP (a=srtpgw); one of ours that comes back passes untouched"),
    "recrypt": Word(_SAME, "SRTP is always decrypted and encrypted anew", _ALWAYS),
    "no-passthrough": Word(_SAME, "", _ALWAYS),
    "passthrough": _missing("passthrough", "SRTP passed through as it is"),
    "webrtc": Word(
        _webrtc, "`UDP/TLS/RTP/SAVPF ICE=force trickle-ICE rtcp-mux-offer rtcp-mux-require no-rtcp-attribute SDES-off "
        "generate-mid`"),
    "generate-rtcp": _missing("generate-RTCP", "own RTCP per leg"),
    "rtcp-mirror": _missing("RTCP-mirror", "RTCP of a subscriber back to the source"),
    "mirror-rtcp": _missing("RTCP-mirror", "the same"),
    "generate-mid": Word(_SAME, "a=mid where there is none"),
    "fragment": Word(_SAME, "`offer`, `answer`: the SDP is a fragment with ICE candidates (RFC 8840); none comes back"),
    "media-control": Word(
        _SAME, "ours: `offer`, `answer`: instead of an SDP a body of SIP INFO (RFC 5168); a picture_fast_update in it "
        "becomes PLI for who sends this side pictures; none comes back"),
    "trickle-ice": Word(_field(trickle=True), "tell the other side that its candidates may come later"),
    "reject-ice": Word(_field(ice_rejected=True), "do without the ICE that this side offers"),
    "ice-reject": Word(_field(ice_rejected=True), "the same"),
    "no-tls-id": Word(lambda wishes: wishes.dtls.update(tls_id=False), "no a=tls-id in our offers"),
    "original-sendrecv": Word(_SAME, "direction attributes pass as they are", _ALWAYS),
    "pad-crypto": Word(lambda wishes: wishes.sdes.change.update(pad=True), "`SDES-pad`"),
    "record-call": _missing("record-call", NO_RECORDING),
    "siprec": _missing("SIPREC", NO_RECORDING),
    "recording-announcement": _missing("recording-announcement", NO_RECORDING),
    **{word: Word(_SAME, NO_RECORDING, _IGNORED) for word in (
        "recording-vsc", "discard-recording", "exclude-recording", "skip-recording-db")},
    **{word: _missing(word, NO_DTMF) for word in ("block-dtmf", "detect-dtmf", "inject-dtmf")},
    "always-transcode": Word(
        lambda wishes: wishes.codecs.setdefault("accept", []).append("all"), "`codec-accept-all`"),
    **{word: _missing(word, NO_TRANSCODING) for word in (
        "allow-transcoding", "force-transcoding", "single-codec", "static-codecs", "audio-player",
        "block-short")},
    **{word: Word(_SAME, NO_TRANSCODING, _IGNORED) for word in (
        "allow-asymmetric-codecs", "asymmetric-codecs", "symmetric-codecs", "reorder-codecs", "allow-no-codec-media",
        "no-codec-renegotiation", "reuse-codecs", "no-player", "no-jitter-buffer")},
    "strip-extmap": _missing("strip-extmap", "manipulation of RFC 8285 extensions"),
    "block-egress": _missing("block-egress", "block what a party receives"),
    "inactive": _missing("inactive", "a subscription that is paused from the start"),
    "debug": Word(_SAME, "log level of one call", _IGNORED),
    "no-redis-update": Word(_SAME, "", _IGNORED),
    "unidirectional": Word(_SAME, "rtpengine's kernel module", _IGNORED),
    "fatal": Word(_SAME, "`delete`: an unknown call is an error"),
    "fast": Word(_SAME, "`delete`: at once, whatever the delay"),
    "to-tag": Word(_SAME, "`delete`: the to-tag must match too; it always must", _ALWAYS),
    "all": Word(_SAME, "`block media`, `subscribe request`: every party"),
    "opaque": Word(_SAME, "ours: media is SRTP whose keys we do not have; legs without keys relay it as it is"),
    "signalling-secure": Word(_field(signalling_secure=True), "ours: this side speaks SIP over TLS"),
    "signalling-secure-out": Word(_field(signalling_secure_out=True), "ours: the other side does"),
}  # fmt: skip
