"""Trickle ICE in SIP (RFC 8840): its names, and what messages say of it and of Info Packages (RFC 6086)."""

from __future__ import annotations

import re
from collections.abc import Iterator

FRAGMENT = "application/trickle-ice-sdpfrag"
TO_GATEWAY = "trickle_ice"  # native route block: rtpengine_info
TRICKLE = "trickle-ice"  # option tag and Info Package (RFC 8840 sections 5 and 10)
_SAID = re.compile(r"^a=ice-options:(?:.*[ \t])?trickle(?:[ \t]|\r?$)", re.MULTILINE)
_NAMES = {"supported": "Supported", "k": "Supported", "require": "Require", "recv-info": "Recv-Info"}


def said(sdp: str) -> bool:
    """Whether candidates may come after this SDP (RFC 8838 section 15)."""
    return _SAID.search(sdp) is not None


def words(head: str, name: str) -> list[str] | None:
    """The values of a header that is a list of tokens, of all its lines, without parameters; None: there is none."""
    lines = [value for one, value in _lines(head) if one == name]
    return [word for line in lines for word in _tokens(line)] if lines else None


def without(head: str) -> Iterator[tuple[str, list[str]]]:
    """Headers that name it, and what else is in them."""
    for name in dict.fromkeys(_NAMES.values()):
        found = words(head, name)
        if found and TRICKLE in found:
            yield name, [word for word in found if word != TRICKLE]


def _lines(head: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.strip().lower() in _NAMES:
            yield _NAMES[name.strip().lower()], value


def _tokens(text: str) -> list[str]:
    return [word for one in text.split(",") if (word := one.partition(";")[0].strip().lower())]
