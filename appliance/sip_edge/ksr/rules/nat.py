"""Peers behind NAT (row K09)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from appliance.sip_edge.ksr.rules.networks import parsed

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""RFC 1918, RFC 6598, RFC 4193."""


@dataclass(frozen=True)
class NatRules:
    """`uac_test`: flags of nathelper's nat_uac_test."""

    enabled: bool = False
    uac_test: int = 18


def unreachable(contact: str, source: str) -> bool:
    """Whether `contact`, a host, is an address of a private network and `source`, where its message came from, not."""
    try:
        named, real = (ipaddress.ip_address(one.strip("[]")) for one in (contact, source))
    except ValueError:
        return False
    return _private(named) and not _private(real)


def _private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(address in network for network in parsed(PRIVATE))
