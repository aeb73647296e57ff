"""An NG dictionary to MediaOptions: every spelling rtpengine takes ("transport-protocol", "transport protocol", flag
words in `flags` and, of newer Kamailios, in the one string `rtpp-flags`). Words not understood are collected in
`unknown`.

Two tables: KEYS says what a dictionary key does, WORDS what a bare word in `flags` does. A word `PREFIX-rest` is the
key PREFIX with the value `rest` (rtpengine's own rule: `SDES-pad`, `replace-origin`, `rtcp-mux-demux`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.calls.media import Latching, RocPolicy
from appliance.policy.options import MOST_MKI_KEYS, Choice, Ice, MediaOptions, SdesOptions, Spelling, Vbr
from appliance.policy.secure_media import ConfigError, Mode, SecureMedia, parse
from appliance.protocols.ng.value import Value
from appliance.protocols.srtp import suites

MAX_WORDS = 512  # words taken from one message; more is no honest configuration

_TOKEN = re.compile(r"([^\s=\[\]]+)(?:=(?:\[([^\]]*)\]|(\S*)))?")


@dataclass(slots=True)
class SdesWishes:
    """Fields of one SdesOptions that differ from the defaults, and the `only-` suites as written."""

    change: dict[str, Any] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)

    def over(self, defaults: SdesOptions) -> SdesOptions:
        """Only unknown names behind `only-`: nothing may be offered, rather than everything."""
        return replace(defaults, **(self.change | ({"suites": tuple(self.only)} if self.only else {})))


@dataclass(slots=True)
class Wishes:
    """What has been read so far: fields of MediaOptions that differ from the defaults, SDES of both sides."""

    media: dict[str, Any] = field(default_factory=dict)
    sdes: SdesWishes = field(default_factory=SdesWishes)
    sdes_from: SdesWishes | None = None
    directions: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)


def read(body: Mapping[str, Value], defaults: MediaOptions | None = None) -> MediaOptions:
    """The wishes of an offer or answer laid over `defaults`. Never raises. As in rtpengine nothing of the session
    part is replaced unless `replace` says so."""
    defaults = defaults or MediaOptions()
    wishes = Wishes()
    wishes.media["replace"] = frozenset()
    for key, value in body.items():
        _key(wishes, _normal(key), value)
    theirs = defaults.sdes_from
    if wishes.sdes_from is not None:
        theirs = wishes.sdes_from.over(theirs or defaults.sdes)
    return replace(
        defaults,
        **wishes.media,
        sdes=wishes.sdes.over(defaults.sdes),
        sdes_from=theirs,
        flags=frozenset(wishes.flags),
        unknown=tuple(wishes.unknown[:MAX_WORDS]),
    )


def _normal(word: str) -> str:
    return word.strip().lower().replace(" ", "-").replace("_", "-")


def _words(value: Value) -> list[str]:
    """A list, or one word, as words; anything else is nothing."""
    if isinstance(value, str):
        return value.split()
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [item for item in list(value)[:MAX_WORDS] if isinstance(item, str)]
    return []


def _key(wishes: Wishes, key: str, value: Value) -> None:
    handler = KEYS.get(key)
    if handler is not None:
        handler(wishes, key, value)
    elif key not in ENVELOPE:
        wishes.unknown.append(key)


def _flag(wishes: Wishes, word: str) -> None:
    """One entry of `flags`."""
    name = _normal(word)
    act = WORDS.get(name)
    if act is not None:
        act(wishes)
        wishes.flags.add(name)
        return
    for prefix in PREFIXES:
        if name.startswith(prefix + "-") and len(name) > len(prefix) + 1:
            KEYS[prefix](wishes, prefix, [word.strip()[len(prefix) + 1 :]])
            return
    wishes.unknown.append(word)


def _flags(wishes: Wishes, key: str, value: Value) -> None:
    for word in _words(value):
        name, equals, rest = word.partition("=")
        if equals:
            _key(wishes, _normal(name), rest)
        else:
            _flag(wishes, word)


def _flag_string(wishes: Wishes, key: str, value: Value) -> None:
    """Kamailio's `rtpp-flags`: its whole command line, `word key=value key=[value value]`."""
    if not isinstance(value, str):
        return
    for found in list(_TOKEN.finditer(value))[:MAX_WORDS]:
        name, many, one = found.groups()
        if many is not None:
            _key(wishes, _normal(name), many.split())
        elif one is not None:
            _key(wishes, _normal(name), one)
        elif "/" in name and name.upper().startswith(("RTP/", "UDP/")):
            wishes.media["transport_protocol"] = name.upper()
        else:
            _flag(wishes, name)


def _text(name: str) -> Callable[[Wishes, str, Value], None]:
    """A key whose one word goes into a field as it stands."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        words = _words(value)
        if words:
            wishes.media[name] = words[0]

    return handler


def _set(name: str, allowed: frozenset[str]) -> Callable[[Wishes, str, Value], None]:
    """A key whose words go into a set, if they are of the allowed ones."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        words = {_normal(word) for word in _words(value)}
        wishes.media[name] = wishes.media.get(name, frozenset()) | (words & allowed)
        wishes.unknown += [f"{key}-{word}" for word in sorted(words - allowed)]

    return handler


def _transport(wishes: Wishes, key: str, value: Value) -> None:
    for word in _words(value):
        if word.lower() == "accept":
            wishes.flags.add("transport-protocol-accept")
        else:
            wishes.media["transport_protocol"] = word.upper()


def _osrtp(wishes: Wishes, key: str, value: Value) -> None:
    spread = {"accept": ("accept-rfc", "accept-legacy"), "offer-rfc": ("offer",)}
    words = [name for word in _words(value) for name in spread.get(_normal(word), (_normal(word),))]
    _set("osrtp", OSRTP)(wishes, key, words)


def _ice(wishes: Wishes, key: str, value: Value) -> None:
    for word in _words(value):
        if _normal(word) in set(Ice):
            wishes.media["ice"] = Ice(_normal(word))
        else:
            wishes.unknown.append(f"ICE={word}")


def _dtls(wishes: Wishes, key: str, value: Value) -> None:
    for word in _words(value):
        name = {"no": "off", "disable": "off"}.get(_normal(word), _normal(word))
        if name in ("off", "passive", "active"):
            wishes.media["dtls"] = name
        else:
            wishes.unknown.append(f"DTLS={word}")


def _vbr(wishes: Wishes, key: str, value: Value) -> None:
    """Ours: what becomes of variable bit rate codecs on secured media."""
    for word in _words(value):
        if _normal(word) in set(Vbr):
            wishes.media["vbr"] = Vbr(_normal(word))
        else:
            wishes.unknown.append(f"vbr={word}")


def _direction(wishes: Wishes, key: str, value: Value) -> None:
    """Interface names: towards the side that sent this, then towards the other; also one by one (`direction=a
    direction=b`). A single name serves both."""
    wishes.directions += _words(value)
    if wishes.directions:
        wishes.media["interface_a"], wishes.media["interface_b"] = (wishes.directions * 2)[:2]


def _received_from(wishes: Wishes, key: str, value: Value) -> None:
    words = _words(value)
    if len(words) == 2:
        wishes.media["received_from"] = words[1]


def _learning(wishes: Wishes, key: str, value: Value) -> None:
    modes = {"off": Latching.OFF, "immediate": Latching.ONCE, "delayed": Latching.ONCE, "heuristic": Latching.ONCE}
    for word in _words(value):
        if _normal(word) in modes:
            wishes.media["latching"] = modes[_normal(word)]
        else:
            wishes.unknown.append(f"{key}={word}")


def _policy(name: str) -> Callable[[Wishes, str, Value], None]:
    """Our own keys for a trunk's policy. A value that cannot be read demands a suite that does not exist: it fails
    closed."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        words = ":".join(_words(value))
        try:
            wishes.media[name] = parse(words)
        except ConfigError:
            wishes.media[name] = SecureMedia(Mode.MANDATORY, ("(unreadable policy)",))
            wishes.unknown.append(f"{key}={words}")

    return handler


def _sdes(wishes: Wishes, key: str, value: Value) -> None:
    """Words about the a=crypto lines towards the other side. Kamailio's rtpengine module puts every flag that begins
    with `SDES-` into this list, also the `SDES-from-` ones."""
    for word in _words(value):
        if word.lower().startswith("from-"):
            _sdes_from(wishes, key, word[len("from-") :])
        elif not _sdes_word(wishes.sdes, word):
            wishes.unknown.append(f"SDES-{word}")


def _sdes_from(wishes: Wishes, key: str, value: Value) -> None:
    """Ours: the same words about the side that sent this SDP (its trunk's quirks)."""
    wishes.sdes_from = wishes.sdes_from or SdesWishes()
    wishes.unknown += [f"SDES-from-{word}" for word in _words(value) if not _sdes_word(wishes.sdes_from, word)]


def _sdes_word(wishes: SdesWishes, word: str) -> bool:
    """False when it, or a suite in it, is unknown."""
    name = word.lower().replace("-", "_")
    if name in SDES_WORDS:
        wishes.change.update(SDES_WORDS[name])
        return True
    for prefix, listed in SDES_LISTS.items():
        if name.startswith(prefix):
            names = [suite for suite in word[len(prefix) :].split(";") if suite]
            listed(wishes, names)
            return all(map(suites.find, names))
    return False


def _only(wishes: SdesWishes, names: list[str]) -> None:
    wishes.only += [suite.name if (suite := suites.find(name)) else name for name in names]


def _without(wishes: SdesWishes, names: list[str]) -> None:
    wishes.change["without"] = wishes.change.get("without", frozenset()) | frozenset(_known(names))


def _order(name: str) -> Callable[[SdesWishes, list[str]], None]:
    def listed(wishes: SdesWishes, names: list[str]) -> None:
        wishes.change[name] = (*wishes.change.get(name, ()), *_known(names))

    return listed


def _known(names: list[str]) -> list[str]:
    return [suite.name for name in names if (suite := suites.find(name))]


SDES_WORDS: dict[str, dict[str, Any]] = {
    "off": {"enabled": False},
    "no": {"enabled": False},
    "disable": {"enabled": False},
    "pad": {"pad": True},
    "nopad": {"pad": False},
    "no_pad": {"pad": False},
    "lifetime": {"lifetime_log2": 31},
    "nonew": {"nonew": True},
    "static": {"static": True},
    "prefer": {"preferred": True},
    "unencrypted_srtp": {"unencrypted_srtp": True},
    "unencrypted_srtcp": {"unencrypted_srtcp": True},
    "unauthenticated_srtp": {"unauthenticated_srtp": True},
    "encrypted_srtp": {"unencrypted_srtp": False},
    "encrypted_srtcp": {"unencrypted_srtcp": False},
    "authenticated_srtp": {"unauthenticated_srtp": False},
    "liberal_lifetime": {"liberal_lifetime": True},  # from here on ours
    "choice_strongest": {"choice": Choice.STRONGEST},
    "choice_offerer": {"choice": Choice.OFFERER},
    "spelling_rfc": {"spelling": Spelling.RFC},
    "spelling_alias": {"spelling": Spelling.ALIAS},
    "srtcp_tag_as_srtp": {"srtcp_tag_as_srtp": True},
    "legacy_192": {"legacy_192": True},
    "gcm8_answered_as_gcm": {"gcm8_answered_as_gcm": True},
    "over_cleartext": {"over_cleartext": True},
    **{f"roc_{policy}": {"roc": policy} for policy in RocPolicy},
    **{f"lifetime_{power}": {"lifetime_log2": power} for power in range(1, 49)},
    **{f"lifetime_floor_{power}": {"lifetime_floor_log2": power} for power in range(1, 49)},
    **{f"mki_{count}": {"mki_keys": count} for count in range(MOST_MKI_KEYS + 1)},
}
SDES_LISTS = {
    "only_": _only,
    "no_": _without,
    "order:": _order("order"),
    "offerer_pref:": _order("offerer_preference"),
}
OSRTP = frozenset(("offer", "offer-legacy", "accept-rfc", "accept-legacy"))
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

KEYS: dict[str, Callable[[Wishes, str, Value], None]] = {
    "flags": _flags,
    "rtpp-flags": _flag_string,
    "transport-protocol": _transport,
    "sdes": _sdes,
    "sdes-from": _sdes_from,
    "dtls": _dtls,
    "dtls-fingerprint": _text("dtls_fingerprint"),
    "osrtp": _osrtp,
    "ice": _ice,
    "rtcp-mux": _set("rtcp_mux", MUX),
    "replace": _set("replace", REPLACE),
    "direction": _direction,
    "interface": _direction,
    "from-interface": _text("interface_a"),
    "to-interface": _text("interface_b"),
    "media-address": _text("media_address"),
    "address-family": _text("address_family"),
    "received-from": _received_from,
    "endpoint-learning": _learning,
    "vbr": _vbr,
    "label": _text("label"),
    "from-label": _text("label"),
    "rtp-secure-media-inbound": _policy("inbound"),
    "rtp-secure-media-outbound": _policy("outbound"),
}
PREFIXES = (
    "sdes-from",
    "sdes",
    "replace",
    "rtcp-mux",
    "osrtp",
    "ice",
    "dtls",
    "endpoint-learning",
    "transport-protocol",
)


def _field(**change: Any) -> Callable[[Wishes], None]:
    return lambda wishes: wishes.media.update(change)


WORDS: dict[str, Callable[[Wishes], None]] = {
    "trust-address": _field(use_received_from=False),
    "sip-source-address": _field(use_received_from=True),
    "symmetric": _field(),  # the default
    "asymmetric": _field(latching=Latching.OFF),
    "strict-source": _field(),  # sources are always checked here
    "no-rtcp-attribute": _field(rtcp_attribute=False),
    "full-rtcp-attribute": _field(),
    "port-latching": _field(),  # a stream keeps its ports for the life of the call
    "no-port-latching": _field(),
    "reset": _field(),
    "early-media": _field(),
    "signalling-secure": _field(signalling_secure=True),  # ours: this side speaks SIP over TLS
    "signalling-secure-out": _field(signalling_secure_out=True),
    "pad-crypto": lambda wishes: wishes.sdes.change.update(pad=True),
}

ENVELOPE = frozenset(
    [
        "command",
        "sdp",
        "call-id",
        "from-tag",
        "to-tag",
        "via-branch",
        "supports",
        "record-call",
        "recording",
        "metadata",
        "user-agent",
        "cookie",
    ]
)
"""Keys that are no wishes, or that may be ignored silently."""
