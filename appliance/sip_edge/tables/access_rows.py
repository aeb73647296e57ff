"""Rows of `address`, `trusted` and `grp` as Kamailio takes them: validated before they are written. Pure.

Kamailio 5.6.3 loads a table whole or not at all; a row that it cannot read keeps every row from being loaded, also at
its next start. So nothing gets in that it would stumble over, and nothing that it reads otherwise than it looks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.policy.posix_regex import PosixRegex

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PROTOCOLS = ("any", "udp", "tcp", "tls", "sctp", "ws", "wss", "none")
MOST_GROUPS = 1_000_000
TAG_OCTETS, PATTERN_OCTETS, NAME_OCTETS = 64, 64, 64
_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"^(?=.{{1,50}}$){_LABEL}(\.{_LABEL})*\.?$")


@dataclass(frozen=True, order=True)
class Address:
    """One row of `address`: an address, a network, or a name that is compared as it is written. Port 0: any."""

    grp: int
    ip_addr: str
    mask: int = 0
    port: int = 0
    tag: str = ""

    @property
    def network(self) -> Network | None:
        """None: a name."""
        try:
            return ipaddress.ip_network(f"{self.ip_addr}/{self.mask}")
        except ValueError:
            return None

    @property
    def single(self) -> bool:
        """Not one of the networks that max_subnets counts."""
        network = self.network
        return network is None or network.num_addresses == 1

    @property
    def key(self) -> tuple[int, str, int, int]:
        """What no second row may have."""
        return self.grp, self.ip_addr.lower(), self.mask, self.port

    def __str__(self) -> str:
        place = str(self.network or self.ip_addr)
        return f"group {self.grp} {place}" + (f" port {self.port}" if self.port else "")


@dataclass(frozen=True, order=True)
class Trusted:
    """One row of `trusted`. Patterns are POSIX expressions in which case counts, empty: any."""

    src_ip: str
    proto: str = "any"
    from_pattern: str = ""
    ruri_pattern: str = ""
    tag: str = ""
    priority: int = 0

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.src_ip, self.proto, self.from_pattern, self.ruri_pattern

    def __str__(self) -> str:
        return f"{self.src_ip} {self.proto}" + "".join(f" {text!r}" for text in self.key[2:] if text)


@dataclass(frozen=True, order=True)
class Member:
    """One row of `grp`: a user in a group."""

    username: str
    domain: str
    grp: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.username, self.domain, self.grp

    def __str__(self) -> str:
        return f"{self.username}@{self.domain} in {self.grp}"


AnyRow = Address | Trusted | Member


def address(values: Mapping[str, Any], *, lenient: bool = False) -> Address:
    """One row of `address` by column names; `ip_addr` may be CIDR. ValueError says what is wrong. `lenient`: bits
    behind the prefix are cut off, as Kamailio does when it compares."""
    group = _number(values, "grp", 1, 1, MOST_GROUPS - 1)
    text = _text(values, "ip_addr", 50).strip()
    host, slash, prefix = text.partition("/")
    host = host.strip("[]")
    port = _number(values, "port", 0, 0, 65535)
    tag = _text(values, "tag", TAG_OCTETS)
    try:
        bare = ipaddress.ip_address(host)
    except ValueError:
        if slash or not _HOST_NAME.match(host) or re.fullmatch(r"[\d.]+", host):
            raise ValueError(f"{text!r} is no address, network or host name") from None
        return Address(group, host, 32, port, tag)
    longest = bare.max_prefixlen
    if slash:
        if not prefix.isdecimal() or int(prefix) > longest:
            raise ValueError(f"{text!r}: the prefix length must be 1..{longest}")
        mask = int(prefix)
        if mask == 0:
            raise ValueError(f"{text!r}: Kamailio takes 0 for {longest}; write the two halves, prefix length 1")
    else:
        mask = _number(values, "mask", 0, 0, 128) or longest  # 0 in the table: a single address (README 3.11)
        if mask > longest:
            raise ValueError(f"mask {mask} for {host}: at most {longest}")
    network = ipaddress.ip_network((bare, mask), strict=False)
    if network.network_address != bare and not lenient:
        raise ValueError(f"{host}/{mask} has bits behind the prefix: is {network} meant, or {host}/{longest}?")
    return Address(group, str(network.network_address), mask, port, tag)


def trusted(values: Mapping[str, Any]) -> Trusted:
    """One row of `trusted` by column names. ValueError says what is wrong."""
    source = _text(values, "src_ip", 50).strip()
    try:
        source = str(ipaddress.ip_address(source.strip("[]")))  # compared as text: one spelling only (README 4.11)
    except ValueError:
        raise ValueError(f"src_ip {source!r} is no address; networks belong into `address`") from None
    proto = _text(values, "proto", 4).strip().lower()
    if proto not in PROTOCOLS:
        raise ValueError(f"proto {proto!r} is none of {', '.join(PROTOCOLS)}")
    patterns = {name: _text(values, name, PATTERN_OCTETS) for name in ("from_pattern", "ruri_pattern")}
    for name, pattern in patterns.items():
        if pattern:
            try:
                PosixRegex(pattern, ignore_case=False)
            except ValueError as error:
                raise ValueError(f"{name} {pattern!r}: {error}") from error
    return Trusted(source, proto, **patterns, tag=_text(values, "tag", TAG_OCTETS),
                   priority=_number(values, "priority", 0, -(2**31), 2**31 - 1))  # fmt: skip


def member(values: Mapping[str, Any]) -> Member:
    """One row of `grp` by column names. ValueError says what is wrong."""
    texts = {name: _text(values, name, NAME_OCTETS).strip() for name in ("username", "domain", "grp")}
    for name in ("username", "grp"):
        if not texts[name]:
            raise ValueError(f"{name} is empty")
    return Member(**texts)


READERS: Mapping[str, Callable[[Mapping[str, Any]], AnyRow]] = {
    "address": address, "trusted": trusted, "grp": member,
}  # fmt: skip


def repeated(rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
    """Rows whose key an earlier one has."""
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        if row.key in seen:
            yield row
        seen.add(row.key)


def subnets(rows: Iterable[Address]) -> int:
    """How many of max_subnets they take."""
    return sum(not row.single for row in rows)


def overlaps(rows: Sequence[Address]) -> list[str]:
    """Sentences about networks of several groups that hold the same address: which one counts depends on
    subnet_match_mode. In one group an overlap changes nothing but the tag."""
    found: list[str] = []
    by_version: dict[int, list[tuple[int, int, Address]]] = {4: [], 6: []}
    for row in rows:
        network = row.network
        if network is not None:
            by_version[network.version].append((int(network.network_address), int(network.broadcast_address), row))
    for ranges in by_version.values():
        ranges.sort(key=lambda item: (item[0], -item[1]))
        around: list[tuple[int, Address]] = []
        for first, last, row in ranges:
            while around and around[-1][0] < first:
                around.pop()
            if around and around[-1][1].grp != row.grp and _same_port(row, around[-1][1]):
                found.append(f"{row} lies in {around[-1][1]}")
            around.append((last, row))
    return found


def _same_port(one: Address, other: Address) -> bool:
    return one.port == other.port or 0 in (one.port, other.port)


def address_file(text: str) -> Iterator[tuple[int, Address]]:
    """Kamailio's address file (README section 6): group address [mask [port [tag]]] with lines. ValueError."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) < 2 or len(words) > 5:
            raise ValueError(f"line {number}: must be GROUP ADDRESS [MASK [PORT [TAG]]]")
        names = ("grp", "ip_addr", "mask", "port", "tag")
        try:
            yield number, address(dict(zip(names, words, strict=False)), lenient=True)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error


def _number(values: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    given = values.get(name)
    if given is None or given == "":
        return default
    try:
        number = int(str(given))
    except ValueError:
        raise ValueError(f"{name} {given!r} is no number") from None
    if not least <= number <= most:
        raise ValueError(f"{name} {number} is not within {least}..{most}")
    return number


def _text(values: Mapping[str, Any], name: str, octets: int) -> str:
    text = str(values.get(name) or "")
    if len(text.encode()) > octets:
        raise ValueError(f"{name} is longer than {octets} octets")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError(f"{name} has control characters")
    return text
