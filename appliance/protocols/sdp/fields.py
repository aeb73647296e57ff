"""The values of the lines that a gateway reads and rewrites: c=, m=, o=, a=rtcp, direction. Each parses and prints."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from appliance.errors import InvalidSdp
from appliance.values import frozen

DIRECTIONS = {
    "sendrecv": (True, True),
    "sendonly": (True, False),
    "recvonly": (False, True),
    "inactive": (False, False),
}
"""Direction attribute -> (its writer sends, its writer receives) (RFC 8866 section 6.7)."""

UNSPECIFIED = frozenset({"0.0.0.0", "::"})  # noqa: S104 - hold of RFC 2543, not an address to bind

_MEDIA = re.compile(r"([!-~]+) +([0-9]{1,10})(?:/([0-9]{1,10}))? +([!-~]+)((?: +[!-~]+)*) *\Z")
_TOKEN_FORMAT = re.compile(r"(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-7])\Z")


def invalid(number: int, rule: str) -> InvalidSdp:
    """The one way SDP is refused: the line (from 1) and the rule it breaks. Never quotes the line: it may hold a
    key."""
    return InvalidSdp(f"SDP line {number}: {rule}", field="sdp")


@lru_cache(maxsize=4096)
def family(host: str) -> str:
    """ "IP4", "IP6", or "" for what is no IP literal."""
    try:
        if ":" in host:
            IPv6Address(host)
            return "" if "%" in host else "IP6"
        IPv4Address(host)
    except ValueError:
        return ""
    return "IP4"


@frozen
class Connection:
    """`c=IN IP4 host`. `host` may be a name or empty (masked samples); `literal` tells. TTL and count of multicast
    stay in `suffix`."""

    family: str
    host: str
    suffix: str = ""

    @classmethod
    def parse(cls, value: str, number: int) -> Connection:
        """RFC 8866 section 5.7. InvalidSdp."""
        parts = value.split()
        if not 2 <= len(parts) <= 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
            raise invalid(number, "c= must be 'IN IP4 address' or 'IN IP6 address'")
        host, slash, rest = parts[2].partition("/") if len(parts) == 3 else ("", "", "")
        return cls(parts[1].upper(), host, slash + rest)

    @classmethod
    def to(cls, host: str) -> Connection:
        """The connection of an IP literal."""
        return cls(family(host) or "IP4", host)

    @property
    def literal(self) -> bool:
        """The host is an IP address of the family the line says."""
        return family(self.host) == self.family

    def __str__(self) -> str:
        return f"IN {self.family} {self.host}{self.suffix}".rstrip()


@frozen
class MediaLine:
    """`m=kind port[/count] proto formats`."""

    kind: str
    port: int
    proto: str
    formats: tuple[str, ...]
    count: int = 0  # number of ports as written; 0: not written

    @classmethod
    def parse(cls, value: str, number: int) -> MediaLine:
        """RFC 8866 section 5.14; payload types of RTP profiles are 0..127 (CVE-2018-1000098's 2^32 is refused).
        InvalidSdp."""
        found = _MEDIA.match(value)
        if found is None:
            raise invalid(number, "m= must be 'media port protocol format ...'")
        kind, port, count, proto, formats = found.groups()
        listed = tuple(formats.split())
        if int(port) > 65535:
            raise invalid(number, "m= port must be 0 to 65535")
        if count is not None and not 1 <= int(count) <= 65535:
            raise invalid(number, "m= number of ports must be 1 to 65535")
        if not listed:
            raise invalid(number, "m= names no format")
        if "RTP/" in proto and not all(map(_TOKEN_FORMAT.match, listed)):
            raise invalid(number, "m= payload types of RTP must be 0 to 127")
        return cls(kind, int(port), proto, listed, int(count or 0))

    def __str__(self) -> str:
        count = f"/{self.count}" if self.count else ""
        return f"{self.kind} {self.port}{count} {self.proto} {' '.join(self.formats)}"


@frozen
class Origin:
    """`o=username session-id version IN IP4 address`. Masked samples have no address."""

    username: str
    session_id: str
    version: str
    family: str
    host: str

    @classmethod
    def parse(cls, value: str, number: int) -> Origin:
        """RFC 8866 section 5.2, as the field writes it: a user name may be missing or hold anything. InvalidSdp."""
        parts = value.split()
        if "IN" not in parts[1:]:
            raise invalid(number, "o= must be 'user id version IN IP4 address'")
        at = len(parts) - 1 - parts[::-1].index("IN")
        before, after = parts[:at], parts[at + 1 :]
        if not after or len(after) > 2 or not 2 <= len(before) <= 3:
            raise invalid(number, "o= must be 'user id version IN IP4 address'")
        username = before[0] if len(before) == 3 else "-"
        return cls(username, before[-2], before[-1], after[0], after[1] if len(after) == 2 else "")

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {self.family} {self.host}".rstrip()


def parse_rtcp(value: str, number: int) -> tuple[int, str]:
    """`a=rtcp:port [IN IP4 host]` to port and host ("" when not written) (RFC 3605). InvalidSdp."""
    parts = value.split()
    if len(parts) not in (1, 4) or not (parts[0].isascii() and parts[0].isdigit()) or len(parts[0]) > 5:
        raise invalid(number, "a=rtcp must be 'port [IN IP4 address]'")
    if int(parts[0]) > 65535 or (len(parts) == 4 and not family(parts[3])):
        raise invalid(number, "a=rtcp must be 'port [IN IP4 address]'")
    return int(parts[0]), parts[3] if len(parts) == 4 else ""
