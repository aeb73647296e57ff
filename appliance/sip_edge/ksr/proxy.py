"""Calls that we only pass on (row P03): between two trunks whose mode is `proxy`. We stay in their route, keep their
dialog, count and account them; headers, Call-ID and SDP go through as they are, and media goes its own way.

Topology hiding leaves their messages alone: it asks here before it masks one (`masks`).
"""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import access, balance, media_flags, nat, radius, read, say, target, websocket
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.proxy import PROXIED

VARIABLE = "$dlg_var(proxied)"  # outlives a restart
SENDING = "topoh:msg-sending"  # with the message at hand, as it was before it is masked
LATE_S = 64  # messages of a call that is over: retransmissions (RFC 3261: 64 * T1)


def begin(table: RoutingTable, caller: Trunk, callee: Trunk, next_hop: str) -> int:
    """An INVITE whose transaction and dialog are there."""
    sides = caller, say.transport(), callee, next_hop
    try:
        media_flags.check_keys_seen(read.text("$rb"), *sides, table.sdes_requires_tls)
    except media_flags.Refused as refused:
        return say.refuse(488, "Not Acceptable Here", refused.reason)
    KSR.pv.sets(VARIABLE, "1")
    _remember()
    websocket.arrives("INVITE")
    KSR.rr.record_route()
    KSR.tm.t_on_failure("ksr_failure_proxied")
    return _relay()


def within(table: RoutingTable, method: str) -> bool:
    """Whether a request of a dialog, which is at hand and whose route was followed, was one of such a call; then it is
    on its way, or was refused."""
    if not KSR.pv.gete(VARIABLE):
        return False
    _remember()
    if method == "ACK":
        KSR.tm.t_relay()
        return True
    KSR.tm.t_check_trans()
    if method == "REFER" and not access.permits_uris(table):  # row N07
        return True
    if method == "BYE":
        radius.account(table)
        _forget_soon()
        say.event("call", state="HANGUP")
    if method in ("INVITE", "UPDATE", "SUBSCRIBE", "REFER"):
        KSR.rr.record_route()
    _relay()
    return True


def reply(table: RoutingTable) -> None:
    """A reply within such a call."""
    websocket.answers()
    nat.reply(table)


def failed(table: RoutingTable) -> int:
    """The next destination of the set, or nothing."""
    status = int(KSR.pv.get("$T_reply_code") or 0)
    if balance.next(table, status):
        target.leave(table)
        KSR.tm.t_on_failure("ksr_failure_proxied")
        return _relay()
    _forget_soon()
    say.event("failed", status=status)
    return 1


def masks(event: str) -> bool:
    """Whether topology hiding may change this message."""
    return event != SENDING or KSR.htable.sht_get(PROXIED, say.call_id()) is None


def _relay() -> int:
    KSR.tm.t_on_reply("ksr_reply_proxied")
    return say.relay()


def _remember() -> None:
    """Also for a Kamailio that was started in mid-call."""
    KSR.htable.sht_seti(PROXIED, say.call_id(), 1)


def _forget_soon() -> None:
    KSR.htable.sht_setex(PROXIED, say.call_id(), LATE_S)
