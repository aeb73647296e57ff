"""Kamailio's module dmq: hash tables that the SIP edges of a fleet share."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.config.types import SipListen
from appliance.sip_edge.areas.area import Area, Places, Value
from appliance.sip_edge.ksr.routing import host_of
from appliance.sip_edge.ksr.rules.replication import ReplicationRules

WORKERS = 2


def area(settings: Settings, places: Places) -> Area:
    """Nothing when it is off. Tables say for themselves that they are shared (dmqreplicate)."""
    ours = settings.sip_replication
    if ours.listen is None:
        return Area()
    parameters: tuple[tuple[str, str, Value], ...] = (
        ("dmq", "server_address", _uri(ours.listen)),
        *(("dmq", "notification_address", peer) for peer in ours.peers),
        ("dmq", "num_workers", WORKERS),
        ("htable", "enable_dmq", 1),
        ("htable", "dmq_init_sync", 1),  # what others know already, at start
    )
    return Area(modules=("dmq",), parameters=parameters)


def rules(settings: Settings) -> ReplicationRules:
    ours = settings.sip_replication
    if ours.listen is None:
        return ReplicationRules()
    return ReplicationRules(True, str(ours.listen.at), tuple(dict.fromkeys(map(host_of, ours.peers))))


def _uri(socket: SipListen) -> str:
    return f"sip:{socket.at}" + ("" if socket.transport == "udp" else f";transport={socket.transport}")
