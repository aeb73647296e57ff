"""Rows of Kamailio's table `dispatcher`: what one must be, and what a set of them must be. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from appliance.config.types import SipListen
from appliance.errors import InvalidRequest
from appliance.sip_edge.ksr.rules.balance import attributes

INACTIVE, TRYING, DISABLED, PROBING, NO_DNS, NO_PING = 1, 2, 4, 8, 16, 32
STATES = INACTIVE | TRYING | DISABLED | PROBING
FLAGS = STATES | NO_DNS | NO_PING
LONGEST = {"destination": 192, "attrs": 128, "description": 64}  # columns of the live schema (row O01)
LARGEST_ID = 2**31 - 1

_URI = re.compile(r"^sips?:([^\s@<>\"]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(\d{1,5}))?(;[^\s<>\"]*)?$")
_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,63}$")
# Attributes that Kamailio or we read as numbers, and what they may be.
NUMBERS = {
    "weight": (1, 100), "rweight": (1, 100), "maxload": (0, 1_000_000), "cc": (0, 1), "latency": (0, 60_000),
    "ocrate": (0, 100), "ocmin": (0, 100), "ocmax": (0, 100), "noping": (0, 1),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One destination, as in the table; `id` 0: not in it yet."""

    setid: int
    destination: str
    flags: int = 0
    priority: int = 0
    attrs: str = ""
    description: str = ""
    id: int = 0

    @property
    def duid(self) -> str:
        return attributes(self.attrs).get("duid", "")


def told(row: Row) -> Row:
    """The row as Kamailio 5.6 is told it: flag 32 (no ping), which is newer, as an attribute that the script reads."""
    if not row.flags & NO_PING or "noping" in attributes(row.attrs):
        return row
    return replace(row, attrs=";".join(filter(None, (row.attrs.rstrip(";"), "noping=1"))))


def check(row: Row) -> None:
    """InvalidRequest names the field that Kamailio would stumble over, or silently leave the destination out for."""
    if not 0 <= row.setid <= LARGEST_ID:
        raise InvalidRequest(f"set {row.setid} is not 0..{LARGEST_ID}", "setid")
    found = _URI.match(row.destination)
    if not found or not 0 < int(found[4] or 5060) < 65536:
        raise InvalidRequest(f"{row.destination!r} is not a SIP URI, such as sip:192.0.2.1:5060", "destination")
    if row.flags & ~FLAGS or row.flags < 0:
        raise InvalidRequest(f"flags {row.flags} has bits that do not exist (1 2 4 8 16 32)", "flags")
    if abs(row.priority) > LARGEST_ID:
        raise InvalidRequest(f"priority {row.priority} is too large", "priority")
    for field, octets in LONGEST.items():
        text = getattr(row, field)
        if len(text.encode()) > octets:
            raise InvalidRequest(f"{field} has {len(text.encode())} octets, the table takes {octets}", field)
        if not text.isprintable():
            raise InvalidRequest(f"{field} holds characters that cannot be printed", field)
    _check_attributes(row.attrs)


def check_set(rows: Sequence[Row]) -> None:
    """What the rows of one set must be together: each URI once, weights within 100 percent. InvalidRequest."""
    repeated = [uri for uri, count in Counter(row.destination for row in rows).items() if count > 1]
    if repeated:
        raise InvalidRequest(f"{repeated[0]} is in set {rows[0].setid} twice", "destination")
    weights = sum(_weight(row) for row in rows)
    if weights > 100:
        raise InvalidRequest(
            f"the weights of set {rows[0].setid} add up to {weights}: those above 100 would get no calls", "attrs"
        )


def check_ids(rows: Iterable[Row]) -> None:
    """A duid is one destination, in whatever sets it is. InvalidRequest."""
    seen: dict[str, str] = {}
    for row in rows:
        other = seen.setdefault(row.duid, row.destination) if row.duid else row.destination
        if other != row.destination:
            raise InvalidRequest(f"duid {row.duid!r} is that of {other} already", "attrs")


def _check_attributes(text: str) -> None:
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = part.partition("=")
        if not _NAME.match(name):
            raise InvalidRequest(f"attrs: {part!r} is not NAME=VALUE", "attrs")
        if not equals:
            continue  # Kamailio takes a bare word and ignores it
        if name in NUMBERS:
            least, most = NUMBERS[name]
            if not value.isdecimal() or not least <= int(value) <= most:
                raise InvalidRequest(f"attrs: {name}={value} is not {least}..{most}", "attrs")
        elif name == "duid" and not _NAME.match(value):
            raise InvalidRequest(f"attrs: duid={value} is no name", "attrs")
        elif name == "socket":
            try:
                SipListen.parse(value)
            except ValueError as error:
                raise InvalidRequest(f"attrs: socket: {error}", "attrs") from None
        elif name in ("ping_from", "obproxy") and not _URI.match(value):
            raise InvalidRequest(f"attrs: {name}={value} is not a SIP URI", "attrs")


def _weight(row: Row) -> int:
    """Not of those whose weight is the threshold of congestion control."""
    found = attributes(row.attrs)
    return int(found.get("weight", "0")) if "rweight" not in found and found.get("cc") != "1" else 0
