"""Permissions: who may come in, call whom, register what (rows N01-N14, J07, J08).

What the settings say, and decisions over it that need no Kamailio. The tables themselves are in Kamailio's memory.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

STEP = 1_000_000  # subnet_match_mode "longest": a group number in the view is place of the prefix * STEP + group


@dataclass(frozen=True)
class Group:
    """What a number in the column `grp` of the table `address` means."""

    number: int
    name: str
    trunk: str = ""  # whose requests its members' are; empty: as the trunks' networks say
    trusted: bool = True  # no password
    gateway: bool = False  # never banned, its address not to be registered
    deny: bool = False


@dataclass(frozen=True)
class AccessRules:
    """Off by default: nothing is looked up, the address of a trunk is proof enough."""

    ip_auth: bool = True
    address: bool = False  # the table is loaded
    trusted: bool = False
    trusted_trunk: str = ""
    longest: bool = False  # subnet_match_mode
    groups: tuple[Group, ...] = ()
    routing: bool = False  # there are permission files for calls
    register_files: bool = False
    uri: bool = False
    uri_check: tuple[str, ...] = ()
    register_include_port: bool = False
    register_protect: bool = False
    members: bool = False  # the table grp can be asked

    def group(self, found: int) -> Group | None:
        """The group of a number that Kamailio found; one without a meaning of its own is trusted, and no more."""
        number = self.number(found)
        if number < 1:
            return None
        return next((group for group in self.groups if group.number == number), Group(number, f"group-{number}"))

    def number(self, found: int) -> int:
        """The group number in what allow_address_group answered; below 1: none."""
        return found % STEP if self.longest and found > 0 else found

    @property
    def gateways(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.gateway)

    @property
    def denied(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.deny)


@dataclass(frozen=True)
class Caller:
    """Who asks, as far as it was found out: for the event, the call's variables and the routes."""

    trunk: str = ""
    group: str = ""
    tag: str = ""
    user: str = ""  # by password
    by: str = ""  # network, address, trusted, digest, certificate


# -- Routes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """One row of [[routes]]; empty conditions hold for everything."""

    name: str
    from_trunk: str = ""
    method: str = ""
    prefix: str = ""
    pattern: str = ""
    group: str = ""
    strip: int = 0
    prepend: str = ""
    deny: bool = False
    destination: str = ""  # SIP URI, set:N, registrar, trunk:NAME, empty: the caller's trunk says

    def matches(self, trunk: str, method: str, user: str) -> bool:
        return (
            self.from_trunk in ("", trunk)
            and self.method in ("", method)
            and user.startswith(self.prefix)
            and (not self.pattern or re.fullmatch(self.pattern, user) is not None)
        )

    def rewritten(self, user: str) -> str:
        return self.prepend + user[self.strip :]


def route(routes: tuple[Route, ...], trunk: str, method: str, user: str) -> Route | None:
    """The first route whose conditions all hold."""
    return next((one for one in routes if one.matches(trunk, method, user)), None)


# -- Contacts ------------------------------------------------------------------------------------------------------

_CONTACT_URI = re.compile(
    r"^(?P<scheme>sips?):(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:;?>@\s]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE
)
_DISPLAY_NAME = re.compile(r'^\s*"(?:[^"\\]|\\.)*"\s*')


@dataclass(frozen=True)
class Contact:
    """Where a registration wants requests to go. `port` 0: none written."""

    user: str
    host: str  # without brackets; an address in its usual spelling, a name in small letters
    port: int = 0

    @property
    def with_port(self) -> str:
        """The pair's second half for files that are compared with the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        at = f"{self.user}@" if self.user else ""
        return f"sip:{at}{host}" + (f":{self.port}" if self.port else "")


def contacts(values: Iterator[str] | tuple[str, ...]) -> Iterator[Contact]:
    """Every contact of the Contact header fields; "*" gives none. ValueError for one that is no SIP URI."""
    for value in values:
        for text in _apart(value):
            if text == "*":
                continue
            bare = _DISPLAY_NAME.sub("", text)  # what is quoted may look like an address
            uri = bare[bare.index("<") + 1 :].partition(">")[0] if "<" in bare else bare
            found = _CONTACT_URI.match(uri.strip())
            if found is None:
                raise ValueError(f"no SIP URI: {uri[:80]!r}")
            yield Contact(found["user"] or "", usual_host(found["host"]), int(found["port"] or 0))


def usual_host(host: str) -> str:
    """One spelling for each address, so that 127.000.000.009 is not another host than 127.0.0.9 (register.deny)."""
    bare = host.strip("[]")
    if re.fullmatch(r"\d{1,12}(\.\d{1,12}){3}", bare):
        bare = ".".join(str(int(part)) for part in bare.split("."))
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return bare.lower().rstrip(".")
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _apart(value: str) -> Iterator[str]:
    """Contacts of one header field: commas inside quotes and angle brackets belong to a contact."""
    start, quoted, angled, escaped = 0, False, False, False
    for place, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"' and not angled:
            quoted = not quoted
        elif not quoted and character in "<>":
            angled = character == "<"
        elif character == "," and not quoted and not angled:
            yield value[start:place].strip()
            start = place + 1
    if value[start:].strip():
        yield value[start:].strip()
