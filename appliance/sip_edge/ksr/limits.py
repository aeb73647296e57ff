"""Rate limits and overload (rows K08, K10)."""

from __future__ import annotations

from appliance.sip_edge.ksr.routing import RoutingTable


def admits(table: RoutingTable) -> bool:
    """False: the request was refused here."""
    return True
