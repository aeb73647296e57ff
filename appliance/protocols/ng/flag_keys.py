"""The table of keys: what each key of an NG dictionary does. docs/ng.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.protocols.ng import flag_rules as rules
from appliance.protocols.ng.flag_rules import REPLACE
from appliance.protocols.ng.flag_values import codecs, command_value, nothing, one_word, policy, refused, subset, whole
from appliance.protocols.ng.sdes_words import sdes, sdes_from
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import MAX_WORDS, NO_DTMF, NO_RECORDING, NO_TRANSCODING, Done, Key, Wishes, normal

BUNDLE = frozenset(("accept", "offer", "require", "strict", "reject"))
MUX = frozenset(("offer", "require", "demux", "accept", "reject"))

_IGNORED, _NO = Done.IGNORED, Done.NO


def _codec(wishes: Wishes, key: str, value: Value) -> None:
    """`codec`: a dictionary of operations."""
    if not isinstance(value, Mapping):
        wishes.unknown.append(key)
        return
    for operation, names in list(value.items())[:MAX_WORDS]:
        row = KEYS.get(f"codec-{normal(operation)}")
        if row is None:
            wishes.unknown.append(f"codec-{operation}")
        else:
            row.read(wishes, f"codec-{normal(operation)}", names)


KEYS: dict[str, Key] = {
    "transport-protocol": Key(
        rules.transport,
        "profile towards the other side; `accept` in answers is what always happens. `UDP/TLS/...`: "
        "DTLS-SRTP; `RTP/SAVPF` with `ICE=force`: a fingerprint beside a=crypto, with `SDES-off` a fingerprint alone",
    ),
    "sdes": Key(sdes, "words about the a=crypto lines we write, see below"),
    "sdes-from": Key(sdes_from, "ours: the same about the side that sent the SDP"),
    "dtls": Key(
        rules.dtls("dtls"),
        "DTLS-SRTP towards the other side: `off`; `passive`, `active` where the role is ours to choose (client without "
        "a word; of an offerer it counts in the answer's request). Ours: `sha1` takes SHA-1 fingerprints, `legacy` "
        "DTLS 1.0, `certificate:NAME` is the one that stays (else the gateway's), `fresh:webrtc`, `always`, `never` "
        "which calls are shown a new one instead, `fingerprint:HASH`",
    ),
    "dtls-reverse": Key(rules.dtls("dtls_from"), "the same words about this side, whose SDP is handed in"),
    "dtls-fingerprint": Key(
        rules.fingerprint,
        "hash of our fingerprint: `SHA-1`, `SHA-224`, `SHA-256` (default), `SHA-384`, `SHA-512`; ours: "
        "`peer`, the peer's own",
    ),
    "osrtp": Key(rules.osrtp, "`offer` (`offer-RFC`), `offer-legacy`, `accept-RFC`, `accept-legacy`, `accept`"),
    "ice": Key(
        rules.ice,
        "towards the other side: `remove`; `default`: offered where this side offers it; `force`, `optional`: "
        "always. Our addresses are the only candidates: `force-relay` is `force`, with a warning",
    ),
    "ice-lite": Key(
        rules.ice_lite,
        "`forward` (towards the other side), `backward` (this side), `both`, `off`. Without it we are lite, "
        "but full towards a peer that offers as a lite one",
    ),
    "rtcp-mux": Key(subset("rtcp_mux", MUX), "`offer`, `require`, `demux`, `accept`, `reject`"),
    "generate-rtcp": Key(refused, "own RTCP per leg", _NO),
    "rtcp-interval": Key(nothing, "interval of own RTCP", _IGNORED),
    "bundle": Key(
        subset("bundle", BUNDLE),
        "`accept`, `offer`, `require`, `strict`, `reject`. On DTLS profiles, without a word too, the m-lines of a "
        "group share one port, ICE session and association; on others a group names one m-line alone",
    ),
    "replace": Key(rules.replaced, "what of the session part becomes ours: " + ", ".join(sorted(REPLACE))),
    "direction": Key(rules.direction, "interfaces towards this and the other side"),
    "interface": Key(rules.direction, "one interface for both sides"),
    "from-interface": Key(one_word("interface_a"), "interface towards the side that sent this"),
    "to-interface": Key(one_word("interface_b"), "interface towards the other side"),
    "inbound-peer": Key(
        command_value, "interface towards this side: the one whose address the route to this peer uses"
    ),
    "outbound-peer": Key(command_value, "the same towards the other side"),
    "address-family": Key(one_word("address_family"), "`IP4`, `IP6`: the other side's interface is of it"),
    "media-address": Key(one_word("media_address"), "address written into the SDP instead of the interface's"),
    "received-from": Key(rules.received_from, "where the SIP message came from; used with `SIP-source-address`"),
    "endpoint-learning": Key(
        rules.learning,
        "`off`; `immediate`, `delayed`, `heuristic`: once, within media.learning_s, on plain legs. Secure legs follow "
        "authenticated packets",
    ),
    "tos": Key(rules.tos, "TOS octet of all we send in this call; negative: as before; above 255, or none: default"),
    "vbr": Key(rules.vbr, "ours: variable bit rate codecs on secured media, `forbid` or `allow` (RFC 6562)"),
    "label": Key(whole("label"), "names the call's party; shown by query, chosen by `block media`"),
    "from-label": Key(whole("label"), "the same as label"),
    "set-label": Key(command_value, "label to give, where `label` chooses"),
    "codec": Key(_codec, "dictionary of the `codec-` rows"),
    "codecs": Key(_codec, "the same as `codec`"),
    "codec-strip": Key(codecs("strip"), "codecs not passed on; `all`"),
    "codec-mask": Key(codecs("mask"), "the same, but what `transcode` adds may be made of them"),
    "codec-except": Key(codecs("exempt"), "codecs that `strip` and `mask` spare"),
    "codec-offer": Key(codecs("offer"), "the same, and first in this order"),
    "codec-order": Key(codecs("order"), "ours: these first, in this order"),
    "codec-accept": Key(
        codecs("accept"),
        "PCMU, PCMA, `all`: this side is answered with them though the other side has the other law alone; transcoded",
    ),
    "codec-consume": Key(codecs("consume"), "the same, and not passed on"),
    "codec-ignore": Key(refused, NO_TRANSCODING, _NO),
    "codec-set": Key(refused, NO_TRANSCODING, _NO),
    "codec-transcode": Key(
        codecs("transcode"),
        "PCMA, PCMU: offered too, behind this side's own and made of its other law, where it "
        "lacks it; where it has it, passed on in spite of `strip-all` and `mask-all`. No ptime is changed. Wishes that "
        "nothing comes of are in `warning`; an error when nothing comes of any and one is for a codec that is not "
        "G.711",
    ),
    "transcode": Key(codecs("transcode"), "the same as codec-transcode"),
    "ptime": Key(refused, NO_TRANSCODING, _NO),
    "ptime-reverse": Key(refused, NO_TRANSCODING, _NO),
    "t38": Key(refused, NO_TRANSCODING, _NO),
    "t.38": Key(refused, NO_TRANSCODING, _NO),
    "t38-version": Key(nothing, NO_TRANSCODING, _IGNORED),
    "delay-buffer": Key(refused, NO_TRANSCODING, _NO),
    "audio-player": Key(refused, NO_TRANSCODING, _NO),
    "moh": Key(refused, "music on hold", _NO),
    "sdp-attr": Key(refused, "manipulation of attributes", _NO),
    "sdp-media-remove": Key(refused, "manipulation of m-lines", _NO),
    "extmap": Key(refused, "manipulation of RFC 8285 extensions", _NO),
    "passthrough": Key(refused, "SRTP passed through as it is; it is always decrypted and encrypted anew", _NO),
    "record-call": Key(refused, NO_RECORDING, _NO),
    "recording": Key(nothing, NO_RECORDING, _IGNORED),
    "metadata": Key(nothing, NO_RECORDING, _IGNORED),
    "dtmf-security": Key(refused, NO_DTMF, _NO),
    "dtmf-security-trigger": Key(refused, NO_DTMF, _NO),
    "dtmf-security-trigger-end": Key(refused, NO_DTMF, _NO),
    "dtmf-delay": Key(refused, NO_DTMF, _NO),
    "dtmf-log-dest": Key(refused, NO_DTMF, _NO),
    "xmlrpc-callback": Key(nothing, "nobody is called: the API's WatchCalls tells of ended calls", _IGNORED),
    "alias-key": Key(refused, "further names of a call", _NO),
    "sip-code": Key(nothing, "the SIP response that carries the answer", _IGNORED),
    "sip-message-type": Key(nothing, "", _IGNORED),
    "instance": Key(nothing, "rtpengine's own, between its instances", _IGNORED),
    "supports": Key(command_value, "`load limit`: a refusal for load is `result: load limit` instead of an error"),
    "limit": Key(command_value, "`list`: at most so many calls; 32 without it"),
    "all": Key(command_value, "`all`: every party is meant"),
    "address": Key(command_value, "`block media`, `subscribe request`: the party with this media address"),
    "from-tags": Key(command_value, "`subscribe request`: the parties of these tags"),
    "to-label": Key(command_value, "`subscribe request`: label of the subscription", _IGNORED),
    "delete-delay": Key(command_value, "`delete`: seconds until it is done; without it [ng] delete_delay_s"),
    "drop-traffic": Key(command_value, "`offer`, `answer`: `start` blocks the media of all parties, `stop` ends it"),
    "media-echo": Key(command_value, "`offer`, `answer`: `blackhole`, `forward`, `backwards`, `both`"),
    "rtp-secure-media-inbound": Key(policy("inbound"), "ours: SRTP policy of the side that sent the SDP"),
    "rtp-secure-media-outbound": Key(policy("outbound"), "ours: SRTP policy of the other side"),
}
ALIASES = {
    "player": "audio-player", "passthru": "passthrough",
    "reverse-ptime": "ptime-reverse", "sip-response-code": "sip-code", "t.38-version": "t38-version",
    "dtmf-log-destination": "dtmf-log-dest", "output-destination": "recording", "recording-file": "recording",
    "recording-dir": "recording", "recording-path": "recording", "recording-pattern": "recording",
}  # fmt: skip
PREFIXES = (
    "sdes-from",
    "sdes",
    "dtls-reverse",
    "dtls-fingerprint",
    "replace",
    "rtcp-mux",
    "osrtp",
    "ice-lite",
    "ice",
    "dtls",
    "bundle",
    "endpoint-learning",
    "transport-protocol",
    "codec-strip",
    "codec-mask",
    "codec-except",
    "codec-offer",
    "codec-order",
    "codec-accept",
    "codec-consume",
    "codec-ignore",
    "codec-set",
    "codec-transcode",
    "transcode",
    "sdp-attr",
    "t38",
    "t.38",
)
ENVELOPE = frozenset(("command", "sdp", "call-id", "from-tag", "to-tag", "via-branch", "user-agent", "cookie"))
"""Keys that are no wishes."""

KEYS |= {alias: KEYS[name] for alias, name in ALIASES.items()}
