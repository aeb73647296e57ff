"""Whose a request is and where it goes: the trunk it came from, its permissions, the next hop."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import access, balance, media, outgoing, registrar, say
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk

REGISTRAR = "registrar"  # a destination: where the called user is registered


def way(table: RoutingTable) -> tuple[Trunk, str] | None:
    """The trunk that the request comes from, and the word for where it goes: a SIP URI, REGISTRAR, a destination set.
    None: it was answered here."""
    caller = access.identify(table)
    if caller is None or not access.permits(table, caller):
        return None
    word = access.target(table, caller)
    if word == "":
        say.refuse(404, "No Destination", "no_destination")
    return (caller, word) if word else None


def aim(table: RoutingTable, word: str) -> Trunk | None:
    """Set the next hop and the socket to it; the trunk it belongs to. None: nobody there, which was answered here."""
    if word == REGISTRAR:
        domain = registrar.lookup(table)
        if not domain or not access.permits_branches(table):
            return None
        phones = table.by_realm(domain) or table.by_name(table.registrar.trunk)
        if phones is not None:  # wherever they are
            return phones
    elif table.balance.find(word) is not None:
        if not balance.select(table, word):
            return None
    else:
        KSR.pv.sets("$du", word)
    return leave(table)


def leave(table: RoutingTable) -> Trunk:
    """The trunk of the next hop, and our socket towards it."""
    callee = table.by_next_hop(next_hop()) or media.NOBODY
    outgoing.leaves(table, callee, next_hop())
    return callee


def further_hops() -> list[str]:
    """Of the other phones that ring at the same time."""
    count = int(KSR.pv.get("$branch(count)") or 0)
    fields = [[f"$(branch({name})[{place}])" for name in ("dst_uri", "uri")] for place in range(count)]
    return [str(KSR.pv.gete(where) or KSR.pv.gete(uri)) for where, uri in fields]


def next_hop() -> str:
    return str(KSR.pv.gete("$du") or KSR.pv.gete("$ru"))
