"""Anti-flood: bans and pike (rows M01-M13)."""

from __future__ import annotations

from appliance.sip_edge.ksr.routing import RoutingTable


def check(table: RoutingTable) -> bool:
    """False: the request was swallowed."""
    return True
