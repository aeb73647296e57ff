"""A new call: whose it is, where it goes, its media; and what happens when an attempt fails."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import (
    balance,
    dialog,
    disclosure,
    fallback,
    media,
    media_flags,
    proxy,
    radius,
    read,
    replaces,
    say,
    target,
    topology,
    trickle,
)
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules.proxy import between


def new(table: RoutingTable) -> int:
    """An INVITE out of any dialog."""
    say.event("call", state="NEW")
    way = target.way(table)
    if way is None:
        return 1
    caller, word = media_flags.by_its_leg(way[0], say.transport()), way[1]
    radius.account(table)  # before there is a transaction, which takes the flags along
    KSR.tm.t_newtran()
    KSR.tm.t_reply(100, "Trying")
    replaces.invite(table)
    KSR.dialog.dlg_manage()
    topology.begins(table)
    KSR.pv.sets("$dlg_var(caller)", caller.name)
    say.event("call", state="INIT", caller=caller.name)
    callee = target.aim(table, word)
    if callee is None:
        return 1
    if between(caller.mode, callee.mode):
        return proxy.begin(table, caller, callee, _leads_to(callee))
    trickle.heard(caller)
    offered = media_flags.facts(read.text("$rb"))
    if caller.inbound.mode != "forbidden" and offered.secure:
        KSR.pv.sets("$dlg_var(secured)", say.transport())
    elif offered.plain:
        KSR.pv.sets("$dlg_var(rtp)", "1")
    if not media.offer(table, caller, callee, _leads_to(callee), *target.further_hops(), by_caller=True):
        return 1
    dialog.hide(table)
    disclosure.name(table, caller, callee, target.next_hop(), phone=word == target.REGISTRAR)
    KSR.rr.record_route()
    return relay()


def relay() -> int:
    KSR.tm.t_on_branch("ksr_branch")
    KSR.tm.t_on_reply("ksr_reply")
    KSR.tm.t_on_failure("ksr_failure")
    return say.relay(media.delete)


def failed(table: RoutingTable) -> int:
    """An attempt failed (also after CANCEL and on timeout): another one, or nothing may stay behind."""
    status = int(KSR.pv.get("$T_reply_code") or 0)
    if status in fallback.NOT_ACCEPTABLE and _retry_plain(table, status):
        return 1
    if _try_next(table, status):
        return 1
    media.delete()
    say.event("failed", status=status)
    return 1


def progress() -> None:
    """A reply to the first INVITE of a call: the last two states of row I02. Replies in a dialog have no next hop."""
    status = int(KSR.pv.get("$rs") or 0)
    if KSR.pv.gete("$avp(next_hop)") and 180 <= status < 300:
        say.event("call", state="RINGING" if status < 200 else "ANSWERED", status=status)


def _leads_to(callee: Trunk) -> str:
    """The next hop; who is called and how is remembered for the attempts that may follow."""
    KSR.pv.sets("$dlg_var(callee)", callee.name)
    KSR.pv.sets("$avp(next_hop)", target.next_hop())
    say.event("call", state="ROUTING", callee=callee.name, next_hop=target.next_hop())
    return target.next_hop()


def _try_next(table: RoutingTable, status: int) -> bool:
    """The next destination of the set, with media as its own trunk's policy says; one that this call cannot be offered
    to is passed over."""
    found = balance.next(table, status)
    while found:
        caller, callee = media.named(table, "$avp(offerer)"), target.leave(table)
        verdict = media.engage(table, caller, callee, _leads_to(callee), by_caller=True)
        if verdict is None:
            relay()
            return True
        found = balance.skip(table, verdict.reason)
    return False


def _retry_plain(table: RoutingTable, status: int) -> bool:
    """The callee refused the secure offer that its trunk's policy leaves open: offer plain RTP on a new branch, once,
    and not to a caller who has hung up meanwhile (row H02)."""
    if not KSR.pv.gete("$avp(fallback)") or KSR.tm.t_is_canceled() > 0:
        return False
    KSR.pv.sets("$avp(fallback)", "")
    caller, callee = (media.named(table, f"$avp({side})") for side in ("offerer", "answerer"))
    next_hop = KSR.pv.gete("$avp(next_hop)")
    flags = media_flags.offer_flags(caller, fallback.plain(callee), say.transport(), next_hop, table.sdes_requires_tls)
    if not media.put_to_gateway(KSR.rtpengine.rtpengine_offer, flags):
        return False
    say.event("retried_plain", status=status)
    KSR.pv.sets("$ru", read.text("$ru"))  # a target for the new branch: t_relay takes none that has failed
    KSR.pv.sets("$du", next_hop)
    target.leave(table)
    relay()
    return True
