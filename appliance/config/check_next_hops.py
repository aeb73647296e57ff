"""Next hops whose trunk nobody could tell: their calls have no media policy, no interface, no socket of their own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from appliance.config.finding import Finding, warning
from appliance.config.positions import Path as Where
from appliance.config.schema import Settings
from appliance.config.trunks import SIP_URI

STREAMS = ("tcp", "tls")


def next_hops(settings: Settings) -> Iterator[Finding]:
    """A name that no trunk has, so that none of their settings hold; one that is called from any socket."""
    for where, uri, host in _named(settings):
        trunk = next((one for one in settings.trunks if one.uri and same(_host(one.uri), host)), None)
        sockets = [str(one) for one in settings.sip.listen if one.transport == _transport(uri)]
        if trunk is None:
            why = f"no trunk has {host} in its uri: calls go there in plain RTP, by the default interface"
            yield warning(where, why, f'uri = "{uri}" in the trunk that it is')
        elif not (trunk.listen or trunk.sockets) and len(sockets) > 1 and _transport(uri) in STREAMS:
            yield warning(where, f"calls to {host} leave by {sockets[0]}", f"listen of the trunk {trunk.name!r}")


def _named(settings: Settings) -> Iterator[tuple[Where, str, str]]:
    """Where a next hop is written that is a name; the URI and its host."""
    for table in ("trunks", "routes"):
        for place, one in enumerate(getattr(settings, table)):
            host = _host(one.destination)
            if host and not _is_address(host):
                yield (table, place, "destination"), one.destination, host


def same(one: str, other: str) -> bool:
    """Of names, as `RoutingTable.by_next_hop` compares them."""
    return one.lower().rstrip(".") == other.lower().rstrip(".")


def _host(uri: str) -> str:
    found = SIP_URI.match(uri)
    return found[1].strip("[]") if found else ""


def _transport(uri: str) -> str:
    words = [word.partition("=")[2].lower() for word in uri.split(";") if word.lower().startswith("transport=")]
    return "tls" if uri.lower().startswith("sips:") else next(iter(words), "udp")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
