"""Networks as settings write them, parsed once in a process: they are compared with every request."""

from __future__ import annotations

import ipaddress
from functools import cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@cache
def parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    """Of CIDR texts; as many different tuples as the routing table has. ValueError."""
    return tuple(map(ipaddress.ip_network, networks))
