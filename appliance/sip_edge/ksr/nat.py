"""Peers behind NAT (row K09): answers go where the request came from, and so do later requests to a peer whose Contact
nobody could reach: its real address goes along as a parameter (`alias`, module nathelper), through topology hiding, and
comes back with each request to it (ksr/websocket.py finds it)."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import read, say
from appliance.sip_edge.ksr.routing import RoutingTable, host_of
from appliance.sip_edge.ksr.rules.nat import unreachable
from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS  # it does the same for these, NAT or not

TARGETS = ("INVITE", "UPDATE", "SUBSCRIBE", "REFER", "NOTIFY")  # whose Contact is where the sender is called later


def request(table: RoutingTable) -> None:
    """Every request."""
    KSR.force_rport()  # RFC 3581, row I03: also to a peer that did not ask for it
    rules = table.nat
    if not rules.enabled or KSR.pv.gete("$rm") not in TARGETS or say.transport() in TRANSPORTS:
        return
    if KSR.nathelper.nat_uac_test(rules.uac_test) > 0 or _misnamed():
        KSR.nathelper.set_contact_alias()


def reply(table: RoutingTable) -> None:
    """Every reply within a transaction that we relayed: its Contact is the callee's."""
    if table.nat.enabled and say.transport() not in TRANSPORTS and _misnamed():
        KSR.nathelper.set_contact_alias()


def _misnamed() -> bool:
    return unreachable(host_of(read.text("$ct")), str(KSR.pv.gete("$si")))
