"""REGISTER, and calls to whoever registered (rows L01-L08)."""

from __future__ import annotations

from appliance.sip_edge.ksr import access, say
from appliance.sip_edge.ksr.routing import RoutingTable


def register(table: RoutingTable) -> int:
    """Answer a REGISTER."""
    if not access.may_register(table):
        return 1
    return say.refuse(404, "Not Found", "no_registrar")


def lookup(table: RoutingTable) -> bool:
    """Set the Request-URI to where the called user is registered. False: it is not, and the call was answered."""
    say.refuse(404, "Not Found", "no_registrar")
    return False
