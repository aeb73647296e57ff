"""Requests other than INVITE and REGISTER outside any dialog: MESSAGE, SUBSCRIBE, NOTIFY, REFER, INFO (row I07)."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import dialog, disclosure, identity, media, say, target, trickle
from appliance.sip_edge.ksr.routing import RoutingTable

WITHIN_ONLY = frozenset({"BYE", "UPDATE", "PRACK"})  # RFC 3261 section 15.1.2, RFC 3311, RFC 3262: they need a dialog
OPENS_DIALOG = frozenset({"SUBSCRIBE", "REFER"})  # RFC 6665 section 4.1.2: later requests come back through us


def new(table: RoutingTable) -> int:
    method = KSR.pv.gete("$rm")
    if method in WITHIN_ONLY:
        return say.refuse(481, "Call/Transaction Does Not Exist", "unknown_dialog")
    # only offers, answers and candidates that the gateway has read may pass
    if media.has_sdp() or trickle.is_fragment():
        return say.refuse(415, "Unsupported Media Type", "sdp_outside_call")
    way = target.way(table)
    callee = None if way is None else target.aim(table, way[1])
    if way is None or callee is None:
        return 1
    caller, word = way
    dialog.hide(table)
    media.between(caller, callee)
    disclosure.name(table, caller, callee, target.next_hop(), phone=word == target.REGISTRAR)
    identity.tell(caller, callee, disclosure.request(table, caller, callee, target.next_hop()))
    if method in OPENS_DIALOG:
        KSR.rr.record_route()
    KSR.tm.t_on_reply("ksr_reply_other")
    return say.relay()
