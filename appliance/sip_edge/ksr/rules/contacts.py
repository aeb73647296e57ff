"""Contacts of a registration: where it wants requests to go (row N06)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

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


def read(values: Iterator[str] | tuple[str, ...]) -> Iterator[Contact]:
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
