"""Who calls, beside From: P-Asserted-Identity (RFC 3325) and Remote-Party-ID (draft-ietf-sip-privacy), row I06.

A trunk's word is believed when its settings say so; a callee's trunk gets it in the form it understands, or not at all.
A caller who asked for privacy (Privacy: id, RFC 3323 and 3325; privacy=full) is not named to anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PAI, RPID, PPI, PRIVACY = "P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity", "Privacy"
_ADDRESS = re.compile(r'^\s*((?:"(?:[^"\\]|\\.)*"|[^<"]*)\s*<[^<>]+>|[^\s;,<>"]+)(.*)$', re.DOTALL)


@dataclass(frozen=True)
class Told:
    """Header fields of a request, "" for one that is not there."""

    pai: str = ""
    rpid: str = ""
    privacy: str = ""


def header(told: Told, *, trusted: bool, form: str) -> str:
    """The header line for the callee, "" for none. `form`: pai, rpid, none."""
    if not trusted or form == "none" or _private(told):
        return ""
    name = _address(told.pai) or _address(told.rpid)
    if not name:
        return ""
    return f"{PAI}: {name}" if form == "pai" else f"{RPID}: {name};party=calling;screen=yes;privacy=off"


def _private(told: Told) -> bool:
    asked = {word.strip().lower() for word in told.privacy.split(";")}
    return bool(asked & {"id", "user", "full"}) or "privacy=full" in told.rpid.replace(" ", "").lower()


def _address(value: str) -> str:
    """name-addr or addr-spec of the first value, without parameters; "" for what is none."""
    found = _ADDRESS.match(value)
    if found is None or any(mark in found[1] for mark in "\r\n"):
        return ""
    text = found[1].strip()
    return text if "<" in text else f"<{text}>"
