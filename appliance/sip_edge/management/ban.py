"""A ban, and which networks may be banned. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from appliance.errors import InvalidRequest
from kernels.control.ban_table import FOREVER, Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Ban:
    """Times in seconds since the epoch."""

    network: Network
    since: float
    until: float | None  # None: for ever
    rule: str  # "manual", or the rule of the routing script that banned it
    reason: str = ""  # an operator's words
    who: str = ""  # as in the audit log; "": the routing script

    @property
    def end(self) -> float:
        return FOREVER if self.until is None else self.until


class Protected(InvalidRequest):
    """Not to be banned; the text says whose it is."""

    reason = "protected-network"


def network(text: str) -> Network:
    """An address or a network in CIDR. InvalidRequest."""
    try:
        found = ipaddress.ip_network(text.strip().strip("[]"))
    except ValueError as error:
        raise InvalidRequest(f"network: {error}", "network") from None
    mapped = found.network_address.ipv4_mapped if found.version == 6 else None
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.ip_network((mapped, found.prefixlen - 96))
    if "%" in str(found):
        raise InvalidRequest("network: an address with a zone is of one link only", "network")
    return found


def check(wanted: Network, ours: Iterable[Address], trunks: Mapping[str, Iterable[Network]], *, force: bool) -> None:
    """Protected: an address of ours is in it; or a trunk's network touches it, which `force` overrides."""
    own = next((address for address in ours if address.version == wanted.version and address in wanted), None)
    if own is not None:
        raise Protected(f"{wanted} holds {own}, an address of this gateway", "network")
    for name, networks in () if force else trunks.items():
        for one in networks:
            if one.version == wanted.version and one.overlaps(wanted):
                raise Protected(f"{wanted} touches {one} of trunk {name}; force bans it all the same", "network")
