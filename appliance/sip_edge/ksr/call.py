"""A new call: whose it is, where it goes, its media; and what happens when an attempt fails."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import balance, dialog, fallback, media, media_flags, say
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk


def new(table: RoutingTable) -> int:
    """An INVITE out of any dialog."""
    caller = table.by_source(KSR.pv.gete("$si"))
    if caller is None:
        return say.refuse(404, "Not Found", "no_trunk")
    if not caller.destination:
        return say.refuse(404, "No Destination", "no_destination")
    KSR.tm.t_newtran()
    KSR.tm.t_reply(100, "Trying")
    KSR.dialog.dlg_manage()
    if table.balance.find(caller.destination):
        if not balance.select(table, caller.destination):
            return 1
    else:
        KSR.pv.sets("$du", caller.destination)
    next_hop = KSR.pv.gete("$du")
    callee = table.by_next_hop(next_hop) or media.NOBODY
    KSR.pv.sets("$dlg_var(caller)", caller.name)
    KSR.pv.sets("$dlg_var(callee)", callee.name)
    leave_by(callee)
    if caller.inbound.mode != "forbidden" and media_flags.facts(KSR.pv.gete("$rb")).secure:
        KSR.pv.sets("$dlg_var(secured)", say.transport())
    if not media.offer(table, caller, callee, next_hop, by_caller=True):
        return 1
    dialog.hide()
    KSR.rr.record_route()
    return relay()


def relay() -> int:
    KSR.tm.t_on_branch("ksr_branch")
    KSR.tm.t_on_reply("ksr_reply")
    KSR.tm.t_on_failure("ksr_failure")
    if KSR.tm.t_relay() < 0:
        media.delete()
        KSR.sl.sl_reply_error()
    return 1


def failed(table: RoutingTable) -> int:
    """The call did not come about (also after CANCEL and on timeout): nothing may stay behind."""
    status = int(KSR.pv.get("$T_reply_code") or 0)
    if status in fallback.NOT_ACCEPTABLE and _retry_plain(table, status):
        return 1
    if balance.next(table, status):
        relay()
        return 1
    media.delete()
    say.event("failed", status=status)
    return 1


def leave_by(trunk: Trunk) -> None:
    if trunk.listen:
        KSR.pv.sets("$fs", trunk.listen)


def _retry_plain(table: RoutingTable, status: int) -> bool:
    """The callee refused the secure offer that its trunk's policy leaves open: offer plain RTP on a new branch, once,
    and not to a caller who has hung up meanwhile (row H02)."""
    if not KSR.pv.gete("$avp(fallback)") or KSR.tm.t_is_canceled() > 0:
        return False
    KSR.pv.sets("$avp(fallback)", "")
    caller, callee = (media.named(table, f"$avp({side})") for side in ("offerer", "answerer"))
    flags = media_flags.offer_flags(
        caller, fallback.plain(callee), say.transport(), caller.destination, table.sdes_requires_tls
    )
    if not media.put_to_gateway(KSR.rtpengine.rtpengine_offer, flags):
        return False
    say.event("retried_plain", status=status)
    KSR.pv.sets("$ru", KSR.pv.gete("$ru"))  # a target for the new branch: t_relay takes none that has failed
    KSR.pv.sets("$du", caller.destination)
    leave_by(callee)
    relay()
    return True
