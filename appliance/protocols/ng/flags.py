"""An NG dictionary to MediaOptions: every spelling rtpengine takes ("transport-protocol", "transport protocol", flag
words in `flags` and, of newer Kamailios, in the one string `rtpp-flags`). Words not understood are collected in
`unknown`, words understood but not to be had in `unavailable`; neither is ever fatal.

Two tables: KEYS says what a dictionary key does, WORDS what a bare word in `flags` does. A word `PREFIX-rest` is the
key PREFIX with the value `rest` (rtpengine's own rule: `SDES-pad`, `replace-origin`, `rtcp-mux-demux`). docs/ng.md is
made of them (`reference.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from appliance.calls.media import Latching
from appliance.policy.options import KEEP_TOS, DtlsOptions, Ice, MediaOptions, Vbr
from appliance.policy.secure_media import ConfigError, Mode, SecureMedia, parse
from appliance.protocols.ng.sdes_words import sdes, sdes_from
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import MAX_WORDS, Done, Key, Wishes, Word, normal, number, words
from appliance.protocols.sdp import fingerprints

MOST_NESTED = 4  # templates inside templates

_TOKEN = re.compile(r"([^\s=\[\]]+)(?:=(?:\[([^\[\]]*)\]|(\S*)))?")  # no "[" in a list: many open ones stay linear


@dataclass(frozen=True, slots=True)
class Asked:
    """One message: the wishes about SDP, and the values that belong to single commands (`delete-delay`, ...)."""

    options: MediaOptions
    values: Mapping[str, list[str]] = field(default_factory=dict)

    def value(self, key: str) -> str:
        """First word behind a key; "" without one."""
        return next(iter(self.values.get(key, ())), "")


def read(body: Mapping[str, Value], defaults: MediaOptions | None = None) -> MediaOptions:
    """The wishes about SDP alone, without templates."""
    return interpret(body, defaults).options


def interpret(
    body: Mapping[str, Value],
    defaults: MediaOptions | None = None,
    templates: Mapping[str, str] | None = None,
    first: tuple[str, ...] = (),
) -> Asked:
    """The wishes of a message laid over `defaults`. Never raises. As in rtpengine nothing of the session part is
    replaced unless `replace` says so. `templates`: named flag strings, of which those of `first` are read before the
    message's own words, if they are there."""
    defaults = defaults or MediaOptions()
    wishes = Wishes(templates=templates or {})
    wishes.media["replace"] = frozenset()
    for name in first:
        if name in wishes.templates:
            _template(wishes, "template", name)
    for key, value in body.items():
        _key(wishes, normal(key), value)
    theirs = defaults.sdes_from
    if wishes.sdes_from is not None:
        theirs = wishes.sdes_from.over(theirs or defaults.sdes)
    options = replace(
        defaults,
        **wishes.media,
        sdes=wishes.sdes.over(defaults.sdes),
        sdes_from=theirs,
        dtls=replace(defaults.dtls, **wishes.dtls),
        dtls_from=replace(defaults.dtls_from or DtlsOptions(), **wishes.dtls_from)
        if wishes.dtls_from
        else defaults.dtls_from,
        codecs=wishes.codec_wishes(defaults.codecs),
        flags=frozenset(wishes.flags),
        unknown=tuple(wishes.unknown[:MAX_WORDS]),
        unavailable=tuple(wishes.unavailable[:MAX_WORDS]),
    )
    return Asked(options, wishes.values)


def _key(wishes: Wishes, key: str, value: Value) -> None:
    row = KEYS.get(key)
    if row is not None:
        row.read(wishes, key, value)
    elif key not in ENVELOPE:
        wishes.unknown.append(key)


def _flag(wishes: Wishes, word: str) -> None:
    """One entry of `flags`."""
    name = normal(word)
    row = WORDS.get(name)
    if row is not None:
        row.act(wishes)
        wishes.flags.add(name)
        return
    for prefix in PREFIXES:
        if name.startswith(prefix + "-") and len(name) > len(prefix) + 1:
            KEYS[prefix].read(wishes, prefix, [word.strip()[len(prefix) + 1 :]])
            return
    wishes.unknown.append(word)


def _flags(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        name, equals, rest = word.partition("=")
        if equals:
            _key(wishes, normal(name), rest)
        else:
            _flag(wishes, word)


def _flag_string(wishes: Wishes, key: str, value: Value) -> None:
    """Kamailio's `rtpp-flags`: its whole command line, `word key=value key=[value value]`."""
    if not isinstance(value, str):
        return
    for found in islice(_TOKEN.finditer(value), MAX_WORDS):
        name, many, one = found.groups()
        if many is not None:
            _key(wishes, normal(name), many.split())
        elif one is not None:
            _key(wishes, normal(name), one)
        elif "/" in name and name.upper().startswith(("RTP/", "UDP/")):
            wishes.media["transport_protocol"] = name.upper()
        else:
            _flag(wishes, name)


def _template(wishes: Wishes, key: str, value: Value) -> None:
    """A named set of flags of the settings ([ng.templates])."""
    for name in words(value):
        if name not in wishes.templates or wishes.depth >= MOST_NESTED:
            wishes.unknown.append(f"template={name}")
            continue
        wishes.depth += 1
        _flag_string(wishes, key, wishes.templates[name])
        wishes.depth -= 1


# ---------------------------------------------------------------- readers of one kind of value


def _text(name: str) -> Callable[[Wishes, str, Value], None]:
    """A key whose one word goes into a field as it stands."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        found = words(value)
        if found:
            wishes.media[name] = found[0]

    return handler


def _whole(name: str) -> Callable[[Wishes, str, Value], None]:
    """A key whose string, spaces and all, is the field (labels)."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        if isinstance(value, str):
            wishes.media[name] = value

    return handler


def _set(name: str, allowed: frozenset[str]) -> Callable[[Wishes, str, Value], None]:
    """A key whose words go into a set, if they are of the allowed ones."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        found = {normal(word) for word in words(value)}
        wishes.media[name] = wishes.media.get(name, frozenset()) | (found & allowed)
        wishes.unknown += [f"{key}-{word}" for word in sorted(found - allowed)]

    return handler


def _value(wishes: Wishes, key: str, value: Value) -> None:
    """A value for the command itself."""
    wishes.values[key] = [value] if isinstance(value, str) else words(value)


def _nothing(wishes: Wishes, key: str, value: Value) -> None:
    """Read and left alone."""


def _no(wishes: Wishes, key: str, value: Value) -> None:
    """Understood, and not to be had, unless the value switches it off."""
    found = [normal(word) for word in words(value)]
    if found and not all(word in OFF for word in found):
        wishes.unavailable += [f"{key}={word}" for word in found if word not in OFF]
    elif not found and value:
        wishes.unavailable.append(key)


def _some(harmless: frozenset[str], missing: frozenset[str]) -> Callable[[Wishes, str, Value], None]:
    """A key of which some words say what happens anyway, some are not to be had, others are unknown."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        for word in words(value):
            name = normal(word)
            if name in missing:
                wishes.unavailable.append(f"{key}={name}")
            elif name not in harmless:
                wishes.unknown.append(f"{key}={word}")

    return handler


# ---------------------------------------------------------------- keys with rules of their own


def _transport(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        if word.lower() == "accept":
            wishes.flags.add("transport-protocol-accept")
        else:
            wishes.media["transport_protocol"] = word.upper()


def _osrtp(wishes: Wishes, key: str, value: Value) -> None:
    spread = {"accept": ("accept-rfc", "accept-legacy"), "offer-rfc": ("offer",)}
    named = [name for word in words(value) for name in spread.get(normal(word), (normal(word),))]
    _set("osrtp", OSRTP)(wishes, key, named)


def _replace(wishes: Wishes, key: str, value: Value) -> None:
    """`origin-full` is rtpengine's name for replacing all of o=: ours is made anew in any case."""
    named = [{"origin-full": "origin"}.get(normal(word), word) for word in words(value)]
    _set("replace", REPLACE)(wishes, key, named)


def _ice(wishes: Wishes, key: str, value: Value) -> None:
    """ICE towards the other side; newer rtpengines take the words of `ICE-lite` and `trickle ICE` here too."""
    for word in words(value):
        name = normal(word)
        if name in set(Ice):
            wishes.media["ice"] = Ice(name)
        elif name == "trickle":
            wishes.media["trickle"] = True
        elif name in LITE:
            _lite(wishes, LITE[name])
        elif name == "force-relay":
            wishes.media["ice"] = Ice.FORCE
            wishes.unavailable.append("ICE=force-relay")
        elif name != "ice2":  # always so
            wishes.unknown.append(f"ICE={word}")


def _ice_lite(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        name = normal(word)
        found = "off" if name in OFF else LITE.get(name) or LITE.get(f"lite-{name}")
        if found:
            _lite(wishes, found)
        else:
            wishes.unknown.append(f"ICE-lite={word}")


def _lite(wishes: Wishes, word: str) -> None:
    both = {wishes.media.get("ice_lite"), word} == {"forward", "backward"}
    wishes.media["ice_lite"] = "both" if both else word


def _dtls(side: str) -> Callable[[Wishes, str, Value], None]:
    """Words about DTLS-SRTP on the leg of `side`, a field of Wishes. From `sha1` on they are ours."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        change: dict[str, Any] = getattr(wishes, side)
        for word in words(value):
            name = normal(word)
            setting, _, text = word.strip().partition(":")
            if name in DTLS_WORDS:
                change.update(DTLS_WORDS[name])
            elif normal(setting) == "certificate" and text:
                change["certificate"] = text
            elif normal(setting) == "fingerprint" and normal(text) in HASHES:
                change["fingerprint"] = normal(text)
            else:
                wishes.unknown.append(f"{'DTLS' if side == 'dtls' else 'DTLS-reverse'}={word}")

    return handler


def _fingerprint(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        if normal(word) in HASHES:
            wishes.dtls["fingerprint"] = normal(word)
        else:
            wishes.unknown.append(f"{key}={word}")


def _vbr(wishes: Wishes, key: str, value: Value) -> None:
    """Ours: what becomes of variable bit rate codecs on secured media."""
    for word in words(value):
        if normal(word) in set(Vbr):
            wishes.media["vbr"] = Vbr(normal(word))
        else:
            wishes.unknown.append(f"vbr={word}")


def _direction(wishes: Wishes, key: str, value: Value) -> None:
    """Interface names: towards the side that sent this, then towards the other; also one by one (`direction=a
    direction=b`). A single name serves both."""
    wishes.directions += words(value)
    if wishes.directions:
        wishes.media["interface_a"], wishes.media["interface_b"] = (wishes.directions * 2)[:2]


def _received_from(wishes: Wishes, key: str, value: Value) -> None:
    """A list of family and address, or the address alone."""
    found = words(value)
    if found:
        wishes.media["received_from"] = found[-1]


def _learning(wishes: Wishes, key: str, value: Value) -> None:
    modes = {"off": Latching.OFF, "immediate": Latching.ONCE, "delayed": Latching.ONCE, "heuristic": Latching.ONCE}
    for word in words(value):
        if normal(word) in modes:
            wishes.media["latching"] = modes[normal(word)]
        else:
            wishes.unknown.append(f"{key}={word}")


def _tos(wishes: Wishes, key: str, value: Value) -> None:
    """rtpengine's rule: negative leaves what was set, 256 and more is the default."""
    octet = number(value)
    if octet is None:
        wishes.unknown.append(f"{key}={value!s:.20}")
    else:
        wishes.media["tos"] = KEEP_TOS if octet < 0 else octet if octet < 256 else None


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


def _codecs(name: str) -> Callable[[Wishes, str, Value], None]:
    def handler(wishes: Wishes, key: str, value: Value) -> None:
        wishes.codecs.setdefault(name, []).extend(words(value))

    return handler


def _policy(name: str) -> Callable[[Wishes, str, Value], None]:
    """Our own keys for a trunk's policy. A value that cannot be read demands a suite that does not exist: it fails
    closed."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        text = ":".join(value.split() if isinstance(value, str) else words(value))
        try:
            wishes.media[name] = parse(text)
        except ConfigError:
            wishes.media[name] = SecureMedia(Mode.MANDATORY, ("(unreadable policy)",))
            wishes.unknown.append(f"{key}={text}")

    return handler


OFF = frozenset(("off", "no", "none", "disable", "disabled", "default"))
OSRTP = frozenset(("offer", "offer-legacy", "accept-rfc", "accept-legacy"))
LITE = {
    **dict.fromkeys(("no-lite", "lite-no", "lite-off", "lite-none"), "off"),
    **dict.fromkeys(("lite", "lite-both"), "both"),
    **{f"lite-{word}": "forward" for word in ("fw", "fwd", "forward", "offer")},
    **{f"lite-{word}": "backward" for word in ("bk", "bkw", "back", "backward", "backwards", "reverse", "answer")},
}
DTLS_WORDS: dict[str, dict[str, Any]] = {
    **{word: {"enabled": False} for word in ("off", "no", "disable", "disabled")},
    "passive": {"enabled": True, "role": "passive"},
    "active": {"enabled": True, "role": "active"},
    "sha1": {"sha1": True},
    "legacy": {"legacy": True},
}
HASHES = frozenset(fingerprints.OCTETS) | {"peer"}
BUNDLE = frozenset(("accept", "offer", "require", "strict", "reject"))
REPLACE = frozenset(
    [
        "origin",
        "session-connection",
        "session-name",
        "sdp-version",
        "username",
        "zero-address",
        "force-increment-sdp-ver",
    ]
)
MUX = frozenset(("offer", "require", "demux", "accept", "reject"))

_YES, _ALWAYS, _IGNORED, _NO = Done
_NO_TRANSCODING = "media is relayed as it is"
_NO_RECORDING = "recording"
_NO_DTMF = "DTMF is relayed as it is"

KEYS: dict[str, Key] = {
    "flags": Key(_flags, "list of words, see below"),
    "rtpp-flags": Key(_flag_string, "the same as one string, as newer Kamailios send it"),
    "template": Key(_template, "a named flag string of `[ng.templates]`"),
    "transport-protocol": Key(
        _transport, "profile towards the other side; `accept` in answers is what always happens. `UDP/TLS/...`: "
        "DTLS-SRTP; `RTP/SAVPF` with `ICE=force`: a fingerprint beside a=crypto, with `SDES-off` a fingerprint alone"),
    "sdes": Key(sdes, "words about the a=crypto lines we write, see below"),
    "sdes-from": Key(sdes_from, "ours: the same about the side that sent the SDP"),
    "dtls": Key(
        _dtls("dtls"),
        "DTLS-SRTP towards the other side: `off`; `passive`, `active` where the role is ours to choose (client without "
        "a word; of an offerer it counts in the answer's request). Ours: `sha1` takes SHA-1 fingerprints, `legacy` "
        "DTLS 1.0, `certificate:NAME` shows one that stays, `fingerprint:HASH`",
    ),
    "dtls-reverse": Key(_dtls("dtls_from"), "the same words about this side, whose SDP is handed in"),
    "dtls-fingerprint": Key(
        _fingerprint,
        "hash of our fingerprint: `SHA-1`, `SHA-224`, `SHA-256` (default), `SHA-384`, `SHA-512`; ours: "
        "`peer`, the peer's own",
    ),
    "osrtp": Key(_osrtp, "`offer` (`offer-RFC`), `offer-legacy`, `accept-RFC`, `accept-legacy`, `accept`"),
    "ice": Key(
        _ice,
        "towards the other side: `remove`; `default`: offered where this side offers it; `force`, `optional`: "
        "always. Our addresses are the only candidates: `force-relay` is `force`, with a warning",
    ),
    "ice-lite": Key(
        _ice_lite,
        "`forward` (towards the other side), `backward` (this side), `both`, `off`. Without it we are lite, "
        "but full towards a peer that offers as a lite one",
    ),
    "rtcp-mux": Key(_set("rtcp_mux", MUX), "`offer`, `require`, `demux`, `accept`, `reject`"),
    "generate-rtcp": Key(_no, "own RTCP per leg", _NO),
    "rtcp-interval": Key(_nothing, "interval of own RTCP", _IGNORED),
    "bundle": Key(
        _set("bundle", BUNDLE),
        "`accept`, `offer`, `require`, `strict`, `reject`. Every stream has its ports: our group names the first "
        "m-line alone. Without a word: on DTLS profiles",
    ),
    "replace": Key(_replace, "what of the session part becomes ours: " + ", ".join(sorted(REPLACE))),
    "direction": Key(_direction, "interfaces towards this and the other side"),
    "interface": Key(_direction, "one interface for both sides"),
    "from-interface": Key(_text("interface_a"), "interface towards the side that sent this"),
    "to-interface": Key(_text("interface_b"), "interface towards the other side"),
    "inbound-peer": Key(_value, "interface towards this side: the one whose address the route to this peer uses"),
    "outbound-peer": Key(_value, "the same towards the other side"),
    "address-family": Key(_text("address_family"), "`IP4`, `IP6`: the other side's interface is of it"),
    "media-address": Key(_text("media_address"), "address written into the SDP instead of the interface's"),
    "received-from": Key(_received_from, "where the SIP message came from; used with `SIP-source-address`"),
    "endpoint-learning": Key(
        _learning,
        "`off`; `immediate`, `delayed`, `heuristic`: once, within media.learning_s, on plain legs. Secure legs follow "
        "authenticated packets",
    ),
    "tos": Key(_tos, "TOS octet of all we send in this call; negative: as before; above 255, or none: default"),
    "vbr": Key(_vbr, "ours: variable bit rate codecs on secured media, `forbid` or `allow` (RFC 6562)"),
    "label": Key(_whole("label"), "names the call's party; shown by query, chosen by `block media`"),
    "from-label": Key(_whole("label"), "the same as label"),
    "set-label": Key(_value, "label to give, where `label` chooses"),
    "codec": Key(_codec, "dictionary of the `codec-` rows"),
    "codecs": Key(_codec, "the same as `codec`"),
    "codec-strip": Key(_codecs("strip"), "codecs not passed on; `all`"),
    "codec-mask": Key(_codecs("mask"), "the same, but what `transcode` adds may be made of them"),
    "codec-except": Key(_codecs("exempt"), "codecs that `strip` and `mask` spare"),
    "codec-offer": Key(_codecs("offer"), "the same, and first in this order"),
    "codec-order": Key(_codecs("order"), "ours: these first, in this order"),
    "codec-accept": Key(
        _codecs("accept"), "PCMU, PCMA, `all`: this side is answered with them though the other side has the other law "
        "alone; transcoded"),
    "codec-consume": Key(_codecs("consume"), "the same, and not passed on"),
    "codec-ignore": Key(_no, _NO_TRANSCODING, _NO),
    "codec-set": Key(_no, _NO_TRANSCODING, _NO),
    "codec-transcode": Key(
        _codecs("transcode"), "PCMA, PCMU: offered too, behind this side's own and made of its other law, where it "
        "lacks it; where it has it, passed on in spite of `strip-all` and `mask-all`. No ptime is changed. Wishes that "
        "nothing comes of are in `warning`; an error when nothing comes of any and one is for a codec that is not "
        "G.711"),
    "transcode": Key(_codecs("transcode"), "the same as codec-transcode"),
    "ptime": Key(_no, _NO_TRANSCODING, _NO),
    "ptime-reverse": Key(_no, _NO_TRANSCODING, _NO),
    "t38": Key(_no, _NO_TRANSCODING, _NO),
    "t.38": Key(_no, _NO_TRANSCODING, _NO),
    "t38-version": Key(_nothing, _NO_TRANSCODING, _IGNORED),
    "delay-buffer": Key(_no, _NO_TRANSCODING, _NO),
    "audio-player": Key(_no, _NO_TRANSCODING, _NO),
    "moh": Key(_no, "music on hold", _NO),
    "sdp-attr": Key(_no, "manipulation of attributes", _NO),
    "sdp-media-remove": Key(_no, "manipulation of m-lines", _NO),
    "extmap": Key(_no, "manipulation of RFC 8285 extensions", _NO),
    "passthrough": Key(_no, "SRTP passed through as it is; it is always decrypted and encrypted anew", _NO),
    "record-call": Key(_no, _NO_RECORDING, _NO),
    "recording": Key(_nothing, _NO_RECORDING, _IGNORED),
    "metadata": Key(_nothing, _NO_RECORDING, _IGNORED),
    "dtmf-security": Key(_no, _NO_DTMF, _NO),
    "dtmf-security-trigger": Key(_no, _NO_DTMF, _NO),
    "dtmf-security-trigger-end": Key(_no, _NO_DTMF, _NO),
    "dtmf-delay": Key(_no, _NO_DTMF, _NO),
    "dtmf-log-dest": Key(_no, _NO_DTMF, _NO),
    "xmlrpc-callback": Key(_nothing, "nobody is called: the API's WatchCalls tells of ended calls", _IGNORED),
    "alias-key": Key(_no, "further names of a call", _NO),
    "sip-code": Key(_nothing, "the SIP response that carries the answer", _IGNORED),
    "sip-message-type": Key(_nothing, "", _IGNORED),
    "instance": Key(_nothing, "rtpengine's own, between its instances", _IGNORED),
    "supports": Key(_value, "`load limit`: a refusal for load is `result: load limit` instead of an error"),
    "limit": Key(_value, "`list`: at most so many calls; 32 without it"),
    "all": Key(_value, "`all`: every party is meant"),
    "address": Key(_value, "`block media`, `subscribe request`: the party with this media address"),
    "from-tags": Key(_value, "`subscribe request`: the parties of these tags"),
    "to-label": Key(_value, "`subscribe request`: label of the subscription", _IGNORED),
    "delete-delay": Key(_value, "`delete`: seconds until it is done; without it [ng] delete_delay_s"),
    "drop-traffic": Key(_value, "`offer`, `answer`: `start` blocks the media of all parties, `stop` ends it"),
    "media-echo": Key(_value, "`offer`, `answer`: `blackhole`, `forward`, `backwards`, `both`"),
    "rtp-secure-media-inbound": Key(_policy("inbound"), "ours: SRTP policy of the side that sent the SDP"),
    "rtp-secure-media-outbound": Key(_policy("outbound"), "ours: SRTP policy of the other side"),
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
    "trickle-ice": Word(_field(trickle=True), "tell the other side that its candidates may come later"),
    "reject-ice": Word(_field(ice_rejected=True), "do without the ICE that this side offers"),
    "ice-reject": Word(_field(ice_rejected=True), "the same"),
    "no-tls-id": Word(lambda wishes: wishes.dtls.update(tls_id=False), "no a=tls-id in our offers"),
    "original-sendrecv": Word(_SAME, "direction attributes pass as they are", _ALWAYS),
    "pad-crypto": Word(lambda wishes: wishes.sdes.change.update(pad=True), "`SDES-pad`"),
    "record-call": _missing("record-call", _NO_RECORDING),
    "siprec": _missing("SIPREC", _NO_RECORDING),
    "recording-announcement": _missing("recording-announcement", _NO_RECORDING),
    **{word: Word(_SAME, _NO_RECORDING, _IGNORED) for word in (
        "recording-vsc", "discard-recording", "exclude-recording", "skip-recording-db")},
    **{word: _missing(word, _NO_DTMF) for word in ("block-dtmf", "detect-dtmf", "inject-dtmf")},
    "always-transcode": Word(
        lambda wishes: wishes.codecs.setdefault("accept", []).append("all"), "`codec-accept-all`"),
    **{word: _missing(word, _NO_TRANSCODING) for word in (
        "allow-transcoding", "force-transcoding", "single-codec", "static-codecs", "audio-player",
        "block-short")},
    **{word: Word(_SAME, _NO_TRANSCODING, _IGNORED) for word in (
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

ENVELOPE = frozenset(("command", "sdp", "call-id", "from-tag", "to-tag", "via-branch", "user-agent", "cookie"))
"""Keys that are no wishes."""

KEYS |= {alias: KEYS[name] for alias, name in ALIASES.items()}
