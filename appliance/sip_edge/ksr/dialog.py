"""Requests inside a dialog, and how a dialog ends."""

from __future__ import annotations

import time
from dataclasses import replace

import KSR

from appliance.sip_edge.ksr import (
    access,
    disclosure,
    identity,
    media,
    media_flags,
    outgoing,
    picture,
    proxy,
    radius,
    read,
    say,
    topology,
    trickle,
    websocket,
)
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk

PARTING = "parting"  # htable: dialogs with the first of two BYEs of ours sent, by Call-ID
PATIENCE_MS = 50


def within(table: RoutingTable, method: str) -> int:
    """A request with a To-tag."""
    if KSR.rr.loose_route() < 0:
        return _without_route(method)
    websocket.finds(table)
    next_hop = KSR.pv.gete("$du") or read.text("$ru")
    sender, receiver = _sides(table, next_hop)
    outgoing.within(table, receiver, next_hop)
    if proxy.within(table, method):
        return 1
    topology.goes_on(table)
    hide(table)
    disclosure.name_again(table, sender, receiver, next_hop)
    trickle.heard(sender)
    if method == "ACK":
        _passes(table, method, sender, receiver, next_hop)
        KSR.tm.t_relay()
        return _end_unanswered()
    KSR.tm.t_check_trans()
    if method == "REFER" and not access.permits_uris(table):  # a phone's transfer (row N07)
        return 1
    if method == "INFO" and not trickle.admits():
        return 1
    if method == "INFO" and trickle.is_fragment():
        return trickle.take()
    if method == "INFO" and picture.is_ours(receiver, next_hop):
        return picture.take()
    if method == "BYE":
        media.delete()
        radius.account(table)
        say.event("call", state="HANGUP")
    if method in ("INVITE", "UPDATE") or (method == "PRACK" and media.has_sdp() and not media.answers_late(method)):
        if not _offer_again(table, method, sender, receiver, next_hop):
            return 1
        KSR.tm.t_on_branch("ksr_branch")
        KSR.tm.t_on_reply("ksr_reply")
        KSR.tm.t_on_failure("ksr_failure_within")
    else:
        _passes(table, method, sender, receiver, next_hop)
        KSR.tm.t_on_reply("ksr_reply_other")
    if method in ("INVITE", "UPDATE", "SUBSCRIBE", "REFER"):
        KSR.rr.record_route()
    return say.relay()


def failed() -> int:
    """A re-INVITE was refused: the session stays as it was (RFC 3261 section 14.1)."""
    say.event("reinvite_failed", status=int(KSR.pv.get("$T_reply_code") or 0))
    return 1


def ended() -> None:
    """Dialogs that end without a BYE from a peer (timeout, our own BYE) free their media too.

    With a peer's BYE this runs inside `loose_route`, before the request route deletes the media itself."""
    if KSR.pv.gete("$rm") == "BYE" or KSR.pv.gete("$dlg_var(unanswerable)"):  # whoever did it deletes the media
        return
    if KSR.pv.gete(proxy.VARIABLE):  # it has none here
        return
    # No message of this dialog is at hand here: Kamailio makes one up, with a Call-ID of its own.
    media.delete(f"call-id={KSR.pv.gete('$dlg(callid)')} from-tag={KSR.pv.gete('$dlg(from_tag)')}")


def says_bye(table: RoutingTable) -> None:
    """Kamailio's own BYE is about to leave: of two, the caller's is the first."""
    topology.ends(table)
    disclosure.own_request()
    call = say.call_id()
    if KSR.htable.sht_get(PARTING, call) is None:
        KSR.htable.sht_seti(PARTING, call, 1)
    else:
        KSR.htable.sht_rm(PARTING, call)


def answers_bye() -> None:
    """A reply to the first of two BYEs waits until the second one was sent: the dialog module (5.6) sends none in a
    dialog that it has seen end."""
    if KSR.pv.gete("$rm") != "BYE":
        return
    for _ in range(PATIENCE_MS):
        if KSR.htable.sht_get(PARTING, say.call_id()) is None:
            return
        time.sleep(0.001)


def hide(table: RoutingTable) -> None:
    """Headers that tell the other side what equipment this one has (rows I05, K04)."""
    if not table.topology.user_agent:
        return
    KSR.hdr.remove("User-Agent")
    KSR.hdr.remove("Server")


def _passes(table: RoutingTable, method: str, sender: Trunk, receiver: Trunk, next_hop: str) -> None:
    """A request that offers nothing."""
    media.between(sender, receiver)
    identity.tell(sender, receiver, disclosure.request(table, sender, receiver, next_hop))
    if media.answers_late(method):
        trickle.tells(media.late_answer(sender, receiver))
    else:
        media.unasked()
        trickle.tells()


def _without_route(method: str) -> int:
    """A request with a To-tag that is not for us to route: ACK of a local reply, or a dialog we do not know."""
    if method == "ACK":
        if KSR.tm.t_check_trans() > 0:
            KSR.tm.t_relay()
        return 1
    told = {"route": read.text("$hdr(Route)")[:300], "target": read.text("$ru")[:300]}
    return say.refuse(404, "Not Here", "unknown_dialog", **told)


def _offer_again(table: RoutingTable, method: str, offerer: Trunk, answerer: Trunk, next_hop: str) -> bool:
    """re-INVITE or UPDATE from either side: the same flags as at set-up, seen from the one who asks."""
    if method == "INVITE":
        KSR.tm.t_newtran()
        KSR.tm.t_reply(100, "Trying")
    by_caller = KSR.rr.is_direction("upstream") < 0
    transport = KSR.pv.gete("$dlg_var(secured)")
    if transport and not by_caller:  # it offered SRTP, over this transport: no re-offer takes that away
        answerer = media_flags.as_it_offered(answerer)
        next_hop = f"sip:{answerer.name};transport={transport}"
    elif KSR.pv.gete("$dlg_var(rtp)") and not by_caller:  # it offered RTP: SIP over WebSocket, but no browser
        answerer = replace(answerer, webrtc="never")
    return media.offer(table, offerer, answerer, next_hop, by_caller=by_caller)


def _sides(table: RoutingTable, next_hop: str) -> tuple[Trunk, Trunk]:
    """Trunks (offerer, answerer) of a request in a dialog; by addresses when the dialog's record is lost."""
    caller = table.by_name(KSR.pv.gete("$dlg_var(caller)"))
    callee = table.by_name(KSR.pv.gete("$dlg_var(callee)"))
    if caller is None and callee is None:
        here = table.by_source(KSR.pv.gete("$si")) or media.NOBODY
        return here, table.by_next_hop(next_hop) or media.NOBODY
    if KSR.rr.is_direction("upstream") > 0:
        return callee or media.NOBODY, caller or media.NOBODY
    return caller or media.NOBODY, callee or media.NOBODY


def _end_unanswered() -> int:
    """The callee's answer was not acceptable: both sides agreed on nothing, so both are told BYE (row H01)."""
    reason = KSR.pv.gete("$dlg_var(unanswerable)")
    if reason:
        say.refused(reason, status=488)
        # ACK is no transaction of tm's, so the dialog is not at hand by itself.
        KSR.dialog.dlg_get(say.call_id(), KSR.pv.gete("$ft"), KSR.pv.gete("$tt"))
        KSR.dialog.dlg_bye("all")
        media.delete()
    return 1
