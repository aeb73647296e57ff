"""Anti-flood: pike, its ban table, known sources (rows M01-M13)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from appliance.sip_edge.ksr.rules.networks import parsed

BANS, COUNTS = "ipban", "flood"  # hash tables of Kamailio; bans are control's to list and lift
LENGTHS = {4: "/4", 6: "/6"}  # entries of BANS beside sources: prefix lengths of the networks in it, "24 16"
REMEMBERED = 4096  # sources whose answer a process keeps: forged ones push each other out


@dataclass(frozen=True)
class FloodRules:
    """`known`: networks that are never counted. `density`: requests per `unit_s` in exact mode."""

    enabled: bool = False
    exact: bool = False
    density: int = 30
    ban_s: int = 300
    known: tuple[str, ...] = ()


@lru_cache(maxsize=REMEMBERED)
def is_known(known: tuple[str, ...], source: str) -> bool:
    """Whether an address lies in one of the networks (M07). What is no address is not known."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in parsed(known))


def canonical(source: str) -> str:
    """An address as bans write it: IPv6 in its short form, an IPv4 one within IPv6 as itself."""
    if ":" not in source:
        return source
    try:
        address = ipaddress.IPv6Address(source)
    except ValueError:
        return source
    return str(address.ipv4_mapped or address)


def around(source: str, lengths: str) -> Iterator[str]:
    """The networks of these prefix lengths that an address is in, as bans write them. What makes no sense is none."""
    for length in lengths.split():
        try:
            yield str(ipaddress.ip_network(f"{source}/{length}", strict=False))
        except ValueError:
            continue
