"""Keys of an NG dictionary that have rules of their own, one function each."""

from __future__ import annotations

import re
from typing import Any, get_args

from appliance.calls.media import Latching
from appliance.policy.options import KEEP_TOS, Fresh, Ice, Vbr
from appliance.protocols.ng.flag_values import OFF, Reader, subset
from appliance.protocols.ng.value import Value
from appliance.protocols.ng.wishes import Wishes, normal, number, words
from appliance.protocols.sdp import fingerprints

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
FRESH = frozenset(get_args(Fresh))
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")  # it becomes the name of a file
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


def transport(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        if word.lower() == "accept":
            wishes.flags.add("transport-protocol-accept")
        else:
            wishes.media["transport_protocol"] = word.upper()


def osrtp(wishes: Wishes, key: str, value: Value) -> None:
    spread = {"accept": ("accept-rfc", "accept-legacy"), "offer-rfc": ("offer",)}
    named = [name for word in words(value) for name in spread.get(normal(word), (normal(word),))]
    subset("osrtp", OSRTP)(wishes, key, named)


def replaced(wishes: Wishes, key: str, value: Value) -> None:
    """`origin-full` is rtpengine's name for replacing all of o=: ours is made anew in any case."""
    named = [{"origin-full": "origin"}.get(normal(word), word) for word in words(value)]
    subset("replace", REPLACE)(wishes, key, named)


def ice(wishes: Wishes, key: str, value: Value) -> None:
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


def ice_lite(wishes: Wishes, key: str, value: Value) -> None:
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


def dtls(side: str) -> Reader:
    """Words about DTLS-SRTP on the leg of `side`, a field of Wishes. From `sha1` on they are ours."""

    def handler(wishes: Wishes, key: str, value: Value) -> None:
        change: dict[str, Any] = getattr(wishes, side)
        for word in words(value):
            name = normal(word)
            setting, _, text = word.strip().partition(":")
            if name in DTLS_WORDS:
                change.update(DTLS_WORDS[name])
            elif normal(setting) == "certificate" and _FILE.match(text):
                change["certificate"] = text
            elif normal(setting) == "fresh" and normal(text) in FRESH:
                change["fresh"] = normal(text)
            elif normal(setting) == "fingerprint" and normal(text) in HASHES:
                change["fingerprint"] = normal(text)
            else:
                wishes.unknown.append(f"{'DTLS' if side == 'dtls' else 'DTLS-reverse'}={word}")

    return handler


def fingerprint(wishes: Wishes, key: str, value: Value) -> None:
    for word in words(value):
        if normal(word) in HASHES:
            wishes.dtls["fingerprint"] = normal(word)
        else:
            wishes.unknown.append(f"{key}={word}")


def vbr(wishes: Wishes, key: str, value: Value) -> None:
    """Ours: what becomes of variable bit rate codecs on secured media."""
    for word in words(value):
        if normal(word) in set(Vbr):
            wishes.media["vbr"] = Vbr(normal(word))
        else:
            wishes.unknown.append(f"vbr={word}")


def direction(wishes: Wishes, key: str, value: Value) -> None:
    """Interface names: towards the side that sent this, then towards the other; also one by one (`direction=a
    direction=b`). A single name serves both."""
    wishes.directions += words(value)
    if wishes.directions:
        wishes.media["interface_a"], wishes.media["interface_b"] = (wishes.directions * 2)[:2]


def received_from(wishes: Wishes, key: str, value: Value) -> None:
    """A list of family and address, or the address alone."""
    found = words(value)
    if found:
        wishes.media["received_from"] = found[-1]


def learning(wishes: Wishes, key: str, value: Value) -> None:
    modes = {"off": Latching.OFF, "immediate": Latching.ONCE, "delayed": Latching.ONCE, "heuristic": Latching.ONCE}
    for word in words(value):
        if normal(word) in modes:
            wishes.media["latching"] = modes[normal(word)]
        else:
            wishes.unknown.append(f"{key}={word}")


def tos(wishes: Wishes, key: str, value: Value) -> None:
    """rtpengine's rule: negative leaves what was set, 256 and more is the default."""
    octet = number(value)
    if octet is None:
        wishes.unknown.append(f"{key}={value!s:.20}")
    else:
        wishes.media["tos"] = KEEP_TOS if octet < 0 else octet if octet < 256 else None
