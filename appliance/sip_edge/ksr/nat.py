"""Peers behind NAT (row K09): answers go where the request came from, also to a peer that did not ask for it."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr.routing import RoutingTable


def request(table: RoutingTable) -> None:
    """Every request."""
    KSR.force_rport()  # RFC 3581, row I03
