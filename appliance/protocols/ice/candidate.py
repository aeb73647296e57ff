"""`a=candidate` (RFC 8839 section 5.1): text to values and back, priorities (RFC 8445 section 5.1.2), and which
candidates of a peer we check. Pure.

foundation component transport priority address port typ type [raddr A rport P] [name value]...
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from appliance.protocols.stun.attributes import Endpoint

MOST = 100  # candidates of one peer that are looked at; whoever needs more sends the best first
LONGEST = 512  # characters of a line

TYPE_PREFERENCES = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}
"""RFC 8445 section 5.1.2.2."""

_LINE = re.compile(
    r"(?P<foundation>[A-Za-z0-9+/]{1,32}) (?P<component>[1-9][0-9]{0,2}) (?P<transport>[!-~]{1,32}) "
    r"(?P<priority>[0-9]{1,10}) (?P<host>[!-~]{1,255}) (?P<port>[0-9]{1,5}) typ (?P<type>[!-~]{1,32})"
    r"(?P<rest>(?: [!-~]+ [!-~]+)*)\Z"
)
_CREDENTIAL = re.compile(r"[A-Za-z0-9+/]+\Z")


class InvalidCandidate(ValueError):
    """The line is to be treated as absent (RFC 8839 section 5.1: unknown and malformed ones are ignored)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate. `host` is as written: an IP literal, or a name (mDNS, FQDN)."""

    foundation: str
    component: int
    transport: str  # "udp", lower case
    priority: int
    host: str
    port: int
    type: str  # host, srflx, prflx, relay, or one that we do not know
    related: Endpoint | None = None
    extensions: tuple[tuple[str, str], ...] = ()  # generation, ufrag, network-cost, tcptype, ...

    @property
    def address(self) -> Endpoint:
        return self.host, self.port

    def __str__(self) -> str:
        """The value behind `a=candidate:`."""
        words = [
            self.foundation, str(self.component), self.transport, str(self.priority), self.host, str(self.port),
            "typ", self.type,
        ]  # fmt: skip
        if self.related is not None:
            words += ["raddr", self.related[0], "rport", str(self.related[1])]
        for name, value in self.extensions:
            words += [name, value]
        return " ".join(words)


def parse(value: str) -> Candidate:
    """The value behind `a=candidate:` (of JavaScript's, with that word in front too). InvalidCandidate and nothing
    else."""
    found = _LINE.match(value.strip().removeprefix("candidate:")) if len(value) <= LONGEST else None
    if found is None:
        raise InvalidCandidate("not 'foundation component transport priority address port typ type'")
    component, priority, port = (int(found[name]) for name in ("component", "priority", "port"))
    if component > 256 or not 0 < priority < 1 << 32 or port > 65535:
        raise InvalidCandidate("component, priority or port out of range")
    words = found["rest"].split()
    pairs = list(zip(words[::2], words[1::2], strict=True))
    related = None
    if pairs[:1] and pairs[0][0] == "raddr" and pairs[1:2] and pairs[1][0] == "rport":
        if not re.fullmatch(r"[0-9]{1,5}", pairs[1][1]) or int(pairs[1][1]) > 65535:
            raise InvalidCandidate("rport out of range")
        related, pairs = (pairs[0][1], int(pairs[1][1])), pairs[2:]
    return Candidate(
        found["foundation"], component, found["transport"].lower(), priority, canonical(found["host"]), port,
        found["type"].lower(), related, tuple(pairs),
    )  # fmt: skip


def read(values: Iterable[str], ufrag: str = "") -> tuple[Candidate, ...]:
    """Those of a peer's candidates that can be checked: UDP, an IP literal that a datagram may be sent to, and of this
    generation where they say one (RFC 8838 section 10: extension `ufrag`). At most MOST, in order. Never raises."""
    found: dict[tuple[int, Endpoint], Candidate] = {}
    for value in values:
        try:
            candidate = parse(value)
        except InvalidCandidate:
            continue
        if usable(candidate) and (not ufrag or dict(candidate.extensions).get("ufrag", ufrag) == ufrag):
            found.setdefault((candidate.component, candidate.address), candidate)
        if len(found) == MOST:
            break
    return tuple(found.values())


def usable(candidate: Candidate) -> bool:
    """mDNS names (RFC 8828) and other names are not resolved: browsers tell their address to who may know it. Multicast
    and unspecified addresses are no peers (RFC 8445 section 19.5.1: nobody is flooded for an attacker)."""
    if candidate.transport != "udp" or candidate.port == 0 or candidate.type not in TYPE_PREFERENCES:
        return False
    host = literal(candidate.host)
    if host is None or host.is_multicast or host.is_unspecified:
        return False
    return not (isinstance(host, IPv6Address) and host.ipv4_mapped) and str(host) != "255.255.255.255"


def reachable(host: str, base: str) -> bool:
    """Whether a datagram from `base` can be meant for `host`: same family, and neither loopback nor link-local unless
    the base is: a peer's candidates lead nowhere into this machine."""
    there, here = literal(host), literal(base)
    if there is None or here is None or there.version != here.version:
        return False
    inwards = there.is_loopback and not here.is_loopback
    return not inwards and not (there.is_link_local and not here.is_link_local)


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The IP address that the text is, else None. Zones are of no use to a peer."""
    try:
        return None if "%" in host else ip_address(host)
    except ValueError:
        return None


def canonical(host: str) -> str:
    """One spelling for one address, as punted datagrams have it."""
    found = literal(host)
    return host if found is None else str(found)


def priority(kind: str, local: int = 65535, component: int = 1) -> int:
    """RFC 8445 section 5.1.2.1."""
    return TYPE_PREFERENCES[kind] << 24 | local << 8 | 256 - component


def local_preference(place: int) -> int:
    """Of our addresses, best first (RFC 8421 section 4: families in turns, the preferred one at place 0)."""
    return 65535 - place


def host_candidates(bases: Iterable[tuple[int, Endpoint]]) -> tuple[Candidate, ...]:
    """Ours: (component, address) of each port, best address first. One foundation per address (section 5.1.1.3)."""
    places: dict[str, int] = {}
    made = []
    for component, (host, port) in bases:
        place = places.setdefault(host, len(places))
        rank = priority("host", local_preference(place), component)
        made.append(Candidate(str(place + 1), component, "udp", rank, host, port, "host"))
    return tuple(made)


def is_ufrag(text: str) -> bool:
    """RFC 8839 section 5.4: 4 to 256 ice-chars."""
    return 4 <= len(text) <= 256 and bool(_CREDENTIAL.match(text))


def is_pwd(text: str) -> bool:
    """22 to 256 ice-chars."""
    return 22 <= len(text) <= 256 and bool(_CREDENTIAL.match(text))
