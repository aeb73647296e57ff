"""What no route ever sees: malformed requests, loops, methods that we do not speak (rows K01, I07)."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import say
from appliance.sip_edge.ksr.routing import RoutingTable

KNOWN_METHODS = frozenset(say.ALLOW.split(", "))
SANITY_CHECKS, SANITY_URI_CHECKS = 17895, 7  # row K02: what Kamailio's own sample configuration uses


def admits(table: RoutingTable) -> bool:
    """False when the request was answered or dropped here."""
    if KSR.maxfwd.process_maxfwd(70) < 0:
        say.refuse(483, "Too Many Hops", "too_many_hops")
        return False
    if KSR.sanity.sanity_check(SANITY_CHECKS, SANITY_URI_CHECKS) < 0:
        say.count("malformed")
        say.event("malformed")
        return False
    if KSR.pv.gete("$rm") not in KNOWN_METHODS:
        say.refuse(405, "Method Not Allowed", "method_not_allowed")
        return False
    return True
