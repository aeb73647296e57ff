"""Which way the demonstration call can go: a trunk of which both ends can be played on loopback."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from appliance.config.schema import Settings
from appliance.config.types import HostPort
from appliance.demo.established import CallFailed
from appliance.sip_edge.ksr.routing import host_of


@dataclass(frozen=True)
class Route:
    """SIP from `caller` to `sip`, sent on by the gateway to `callee`."""

    trunk: str
    caller: str
    callee: HostPort
    sip: HostPort


def find(settings: Settings) -> Route:
    """The first trunk that loopback addresses can play. CallFailed says what a configuration must have."""
    sip = next((one.at for one in settings.sip.listen if one.transport == "udp"), None)
    for trunk in settings.trunks:
        source = next((network for network in trunk.match if network.is_loopback), None)
        host = host_of(trunk.destination)
        if sip and source and host and _loopback(host):
            port = trunk.destination.removeprefix("sip:").partition(";")[0].rpartition(":")[2]
            callee = HostPort(host, int(port) if port.isdecimal() else 5060)
            return Route(trunk.name, _address_in(source, host), callee, sip)
    raise CallFailed(
        "no trunk to demonstrate with: it takes one whose match and destination are loopback addresses, "
        "like those of the embedded default configuration"
    )


def _address_in(network: ipaddress.IPv4Network | ipaddress.IPv6Network, other: str) -> str:
    """An address of `network`, not the callee's."""
    first = network.network_address if network.num_addresses == 1 else network.network_address + 1
    return str(first + 1) if str(first) == other and network.num_addresses > 2 else str(first)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
