"""Rate limits and overload (rows K08, K10): new requests are refused before any transaction, look-up or media is made.

Requests within dialogs, ACK and CANCEL are never refused here: what is up goes first.
"""

from __future__ import annotations

import random

import KSR

from appliance.sip_edge.ksr import read, say
from appliance.sip_edge.ksr.queues import Queues
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.flood import is_known
from appliance.sip_edge.ksr.rules.limits import Pipe, retry_after, sheds

EXEMPT = frozenset({"ACK", "CANCEL", "BYE", "PRACK"})
QUEUES = Queues()


def child_init(table: RoutingTable) -> None:
    """In each process of Kamailio, once it was forked."""
    if table.limits.overload:
        QUEUES.find()


def admits(table: RoutingTable) -> bool:
    """False: the request was refused here."""
    rules = table.limits
    if not (rules.overload or rules.pipes):
        return True
    method = read.text("$rm")
    if method in EXEMPT or KSR.siputils.has_totag() > 0:
        return True
    if rules.overload and _overloaded(table):
        return _refuse(rules.retry_after_s, "overload")
    for pipe in rules.pipes:
        if pipe.counts(method) and KSR.pipelimit.pl_check_limit(_key(table, pipe), pipe.algorithm, pipe.limit) < 0:
            return _refuse(pipe.retry_after_s, f"limit_{pipe.name}")
    return True


def _overloaded(table: RoutingTable) -> bool:
    """Sources that are known to the flood rules are shed last."""
    fill = QUEUES.fill()
    return fill > 0 and sheds(table.limits, fill, known=is_known(table.flood.known, str(KSR.pv.gete("$si"))))


def _key(table: RoutingTable, pipe: Pipe) -> str:
    """The pipe that this request goes through."""
    if pipe.per == "trunk":
        trunk = table.by_source(KSR.pv.gete("$si"))
        return f"{pipe.name}:{trunk.name if trunk else ''}"
    variable = {"source": "$si", "user": "$fU", "method": "$rm"}.get(pipe.per)
    return f"{pipe.name}:{read.text(variable)}" if variable else pipe.name


def _refuse(least_s: int, rule: str) -> bool:
    """503 with Retry-After (RFC 3261 section 21.5.4)."""
    KSR.hdr.append_to_reply(f"Retry-After: {retry_after(least_s, random.random())}\r\n")
    say.refuse(503, "Service Unavailable", rule)
    return False
