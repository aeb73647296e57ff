"""Messages of the other gateways of a fleet (module dmq): taken from peers alone, at the socket that is for it."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import read, say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.flood import canonical
from appliance.sip_edge.ksr.rules.replication import METHOD


def takes(table: RoutingTable) -> bool:
    """Whether the request was one of theirs. Others that call themselves so go the way of every unknown method."""
    ours = table.replication
    if not ours.enabled or read.text("$rm") != METHOD:
        return False
    if not ours.believes(canonical(str(KSR.pv.gete("$si"))), read.at()):
        say.count("replication_stranger")
        return False
    KSR.dmq.handle_message()
    return True
