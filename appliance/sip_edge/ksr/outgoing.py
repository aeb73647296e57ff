"""The socket of ours that a request leaves by ($fs), where Kamailio's own choice is not the right one.

The first that is known: the destination's (attribute `socket`, or where the phone registered), the trunk's `listen`,
within a dialog the one in its route, one of the trunk's `sockets`, the one whose address the kernel would use.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import time

import KSR

from appliance.sip_edge.ksr.routing import RoutingTable, Trunk, host_of, port_of, transport_of
from appliance.sip_edge.ksr.rules import sockets


def leaves(table: RoutingTable, receiver: Trunk, next_hop: str) -> None:
    """A request outside any dialog."""
    if not KSR.pv.gete("$fs"):
        _set(receiver.listen or by_route(table, receiver, next_hop))


def within(table: RoutingTable, receiver: Trunk, next_hop: str) -> None:
    """A request that follows its route. Without $fs it arrived on the socket that it leaves by, or the dialog began at
    another edge, whose socket the route names."""
    if KSR.pv.gete("$fs"):
        return
    route = str(KSR.pv.gete("$route_uri"))
    same = sockets.named(table.sockets, transport_of(next_hop), host_of(route), port_of(route))
    _set(receiver.listen or same or by_route(table, receiver, next_hop))


def by_route(table: RoutingTable, receiver: Trunk, next_hop: str) -> str:
    """Empty: as Kamailio chooses. A next hop that is a name has no route that we know."""
    transport = transport_of(next_hop)
    if transport not in sockets.STREAMS:
        return ""
    return sockets.chosen(table.sockets, receiver.sockets, transport, routed(host_of(next_hop)))


def routed(host: str) -> str:
    """Our address that the kernel would use to `host`; empty: no address, or no route. Asked once in a second."""
    return _routed(host, int(time.monotonic()))


def _set(chosen: str) -> None:
    if chosen:
        KSR.pv.sets("$fs", chosen)


@functools.lru_cache(maxsize=64)
def _routed(host: str, second: int) -> str:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 5060))  # nothing is sent
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
