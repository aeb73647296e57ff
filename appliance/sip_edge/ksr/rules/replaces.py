"""Dialogs that are named in another one: Replaces (RFC 3891) in an INVITE, and in a Refer-To (RFC 3515 section 2.1,
RFC 5589 section 7: attended transfer).

Who called knows a dialog by the Call-ID that it chose; who was called, by that one masked. So whoever names a dialog to
the other side of the gateway names it in a way that nobody knows there. Pure functions; `masks`: the key of now first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from appliance.sip_edge.ksr.rules.masking import Mask

_IN_URI = re.compile(r"([?&]Replaces=)([^&>\s]*)", re.IGNORECASE)
_HNV = "[]/?:+$!*'()"  # RFC 3261 section 25.1, hvalue: what needs no escape, besides what `quote` leaves anyway


@dataclass(frozen=True)
class Replaced:
    """A dialog as a Replaces header names it to its receiver: `local`, `remote` tags are the receiver's view."""

    call_id: str
    local: str
    remote: str


def read(value: str) -> Replaced | None:
    """Of the header's value; None: it lacks what RFC 3891 section 6.1 asks for."""
    call_id, *parameters = (part.strip() for part in value.split(";"))
    tags = {name.strip().lower(): tag.strip() for name, _, tag in (one.partition("=") for one in parameters)}
    if not (call_id and tags.get("to-tag") and tags.get("from-tag")):
        return None
    return Replaced(call_id, tags["to-tag"], tags["from-tag"])


def bare(call_id: str, masks: tuple[Mask, ...]) -> str:
    """As who called chose it."""
    for mask in masks:
        if call_id.startswith(mask.call_id):
            return mask.decode(call_id.removeprefix(mask.call_id)) or call_id
    return call_id


def masked(call_id: str, masks: tuple[Mask, ...]) -> str:
    """As who is called reads it."""
    return f"{masks[0].call_id}{masks[0].encode(call_id)}"


def with_call_id(value: str, call_id: str) -> str:
    """A Replaces header of the same tags."""
    _, separator, rest = value.partition(";")
    return f"{call_id}{separator}{rest}"


def other_side(value: str, masks: tuple[Mask, ...]) -> str:
    """A Replaces header as it must read on the other side of the dialog that it names."""
    call_id = value.partition(";")[0].strip()
    plain = bare(call_id, masks)
    return with_call_id(value, masked(plain, masks) if plain == call_id else plain)


def in_refer_to(value: str, masks: tuple[Mask, ...], clean: Callable[[str], str]) -> str:
    """A Refer-To for the other side. `clean` is for all of it but the dialog's name. Nothing is translated without
    `masks`."""
    found = _IN_URI.search(value)
    if found is None:
        return clean(value)
    named = quote(other_side(unquote(found[2]), masks), safe=_HNV) if masks else found[2]
    return f"{clean(value[: found.start()])}{found[1]}{named}{clean(value[found.end() :])}"
