"""The routing script that Kamailio runs (KEMI, app_python3): which request goes where, and when media is engaged.

    request -> guard (sanity, loops) -> in a dialog?  follow its route, re-offer or delete media
                                     -> out of one?   OPTIONS answered; INVITE: trunk -> next hop -> offer -> relay
    branch  -> the gateway's SDP goes in
    reply   -> answer media with its SDP -> back
    failure -> a secure offer that was refused and need not be secure: plain, once;  else delete media

Only stand-alone decisions live in `routing` and `media_flags`; here is the order of Kamailio's own verbs. Kamailio
provides the module `KSR`; tests provide a fake one. Standard library only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve()
if str(_HERE.parents[2]) not in sys.path:  # the package tree that was copied into Kamailio's run directory
    sys.path.append(str(_HERE.parents[2]))

import KSR  # noqa: E402

from appliance.sip_edge import fallback, media_flags, refusal, routing  # noqa: E402

ALLOW = "INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE, UPDATE, PRACK"
KNOWN_METHODS = frozenset(ALLOW.split(", "))
SANITY_CHECKS, SANITY_URI_CHECKS = 17895, 7  # row K02: what Kamailio's own sample configuration uses
SDP_TYPE = "application/sdp"
SDP = "$var(sdp)"  # the SDP that the gateway wrote last (modparam write_sdp_pv)
LATE_OFFER = 1  # message flag: the INVITE had no SDP, so the 200 offers and the ACK answers (RFC 3261 section 13.2.1)


def mod_init() -> Kamailio:
    """Called once by app_python3: the object whose methods Kamailio calls by name."""
    table = routing.load((_HERE.parents[3] / "routing.json").read_text())
    return Kamailio(table)


class Kamailio:
    """One Kamailio process' view of the routing table."""

    def __init__(self, table: routing.RoutingTable) -> None:
        self.table = table

    def child_init(self, rank: int) -> int:
        return 0

    def ksr_onsend_route(self, message: Any) -> int:
        """Kamailio looks for this by name and leaves an exception behind when it is missing."""
        return 1

    def ksr_reply_route(self, message: Any) -> int:
        """As above: replies are handled per transaction, in `ksr_reply`."""
        return 1

    # requests -------------------------------------------------------------------------------------------------------

    def ksr_request_route(self, message: Any) -> int:
        if not self._guard():
            return 1
        KSR.force_rport()  # answers go where the request came from (RFC 3581, row I03)
        method = KSR.pv.gete("$rm")
        if method == "CANCEL":
            return self._cancel()
        if KSR.siputils.has_totag() > 0:
            return self._within_dialog(method)
        if method == "ACK":  # of a negative reply: belongs to a transaction or to nobody
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        KSR.tm.t_check_trans()  # a retransmission is answered by its transaction and ends here
        if method == "OPTIONS":
            return _reply(200, "OK", allow=True)
        if method == "INVITE":
            return self._new_call()
        return _reply(404, "Not Found")

    def _guard(self) -> bool:
        """Drop or refuse what must not be routed (rows K01, I07)."""
        if KSR.maxfwd.process_maxfwd(70) < 0:
            _reply(483, "Too Many Hops")
            return False
        if KSR.sanity.sanity_check(SANITY_CHECKS, SANITY_URI_CHECKS) < 0:
            _event("malformed")
            return False
        if KSR.pv.gete("$rm") not in KNOWN_METHODS:
            _event("method_not_allowed")
            _reply(405, "Method Not Allowed", allow=True)
            return False
        return True

    def _cancel(self) -> int:
        if KSR.tm.t_check_trans() > 0:
            KSR.tm.t_relay()  # media is deleted by the failure route, when the 487 is in
        return 1

    # a new call -----------------------------------------------------------------------------------------------------

    def _new_call(self) -> int:
        caller = self.table.by_source(KSR.pv.gete("$si"))
        if caller is None:
            return self._refuse(404, "Not Found", "no_trunk")
        if not caller.destination:
            return self._refuse(404, "No Destination", "no_destination")
        callee = self.table.by_next_hop(caller.destination) or routing.Trunk(name="", match=())
        KSR.tm.t_newtran()
        KSR.tm.t_reply(100, "Trying")
        KSR.dialog.dlg_manage()
        KSR.pv.sets("$dlg_var(caller)", caller.name)
        KSR.pv.sets("$dlg_var(callee)", callee.name)
        KSR.pv.sets("$du", caller.destination)
        _leave_by(callee)
        if caller.inbound.mode != "forbidden" and media_flags.facts(KSR.pv.gete("$rb")).secure:
            KSR.pv.sets("$dlg_var(secured)", _transport())
        if not self._offer(caller, callee, caller.destination, by_caller=True):
            return 1
        _hide()
        KSR.rr.record_route()
        return self._relay_invite()

    def _relay_invite(self) -> int:
        KSR.tm.t_on_branch("ksr_branch")
        KSR.tm.t_on_reply("ksr_reply")
        KSR.tm.t_on_failure("ksr_failure")
        if KSR.tm.t_relay() < 0:
            KSR.rtpengine.rtpengine_delete("")
            KSR.sl.sl_reply_error()
        return 1

    def _offer(self, offerer: routing.Trunk, answerer: routing.Trunk, next_hop: str, *, by_caller: bool) -> bool:
        """Engage the gateway with the SDP of this request; False when the request was answered instead."""
        KSR.pv.sets("$avp(offerer)", offerer.name)
        KSR.pv.sets("$avp(answerer)", answerer.name)
        KSR.pv.sets(SDP, "")
        if KSR.textops.has_body_type(SDP_TYPE) < 0:
            if KSR.pv.gete("$rb"):  # media described in a way that we cannot read would go round the gateway
                self._refuse(*media_flags.unreadable(KSR.pv.gete("$cT")))
                return False
            KSR.setflag(LATE_OFFER)
            return True
        secure_signalling = self.table.sdes_requires_tls
        try:
            media_flags.check_offer(KSR.pv.gete("$rb"), offerer, _transport(), secure_signalling)
            if by_caller:
                answerer = media_flags.bound(offerer, answerer, KSR.pv.gete("$rb"), _transport())
            flags = media_flags.offer_flags(offerer, answerer, _transport(), next_hop, secure_signalling)
        except media_flags.Refused as refused:
            self._refuse(488, "Not Acceptable Here", refused.reason)
            return False
        new_call = KSR.siputils.has_totag() < 0
        if _put_to_gateway(KSR.rtpengine.rtpengine_offer, flags):
            KSR.pv.sets("$avp(fallback)", "1" if new_call and fallback.possible(answerer, flags) else "")
            return True
        words = (self.table.ng, _call_id(), KSR.pv.gete("$ft"), KSR.pv.gete("$rb"), flags)
        verdict = refusal.ask(*words, new_call=new_call)
        self._refuse(verdict.status, verdict.phrase, verdict.reason)
        return False

    def _refuse(self, status: int, phrase: str, reason: str) -> int:
        _event("refused", status=status, reason=reason)
        return _reply(status, phrase)

    # inside a dialog ------------------------------------------------------------------------------------------------

    def _within_dialog(self, method: str) -> int:
        if KSR.rr.loose_route() < 0:
            return self._without_route(method)
        _hide()
        if method == "ACK":
            self._answer_late()
            KSR.tm.t_relay()
            return self._end_unanswered()
        KSR.tm.t_check_trans()
        if method == "BYE":
            KSR.rtpengine.rtpengine_delete("")
        elif method in ("INVITE", "UPDATE"):
            if not self._offer_again(method):
                return 1
            KSR.tm.t_on_branch("ksr_branch")
            KSR.tm.t_on_reply("ksr_reply")
            KSR.tm.t_on_failure("ksr_failure_within")
        if method in ("INVITE", "UPDATE", "SUBSCRIBE", "REFER"):
            KSR.rr.record_route()
        if KSR.tm.t_relay() < 0:
            KSR.sl.sl_reply_error()
        return 1

    def _without_route(self, method: str) -> int:
        """A request with a To-tag that is not for us to route: ACK of a local reply, or a dialog we do not know."""
        if method == "ACK":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        return _reply(404, "Not Here")

    def _offer_again(self, method: str) -> bool:
        """re-INVITE or UPDATE from either side: the same flags as at set-up, seen from the one who asks."""
        if method == "INVITE":
            KSR.tm.t_newtran()
            KSR.tm.t_reply(100, "Trying")
        next_hop = KSR.pv.gete("$du") or KSR.pv.gete("$ru")
        offerer, answerer = self._sides(next_hop)
        by_caller = KSR.rr.is_direction("upstream") < 0
        transport = KSR.pv.gete("$dlg_var(secured)")
        if transport and not by_caller:  # it offered SRTP, over this transport: no re-offer takes that away
            answerer = media_flags.as_it_offered(answerer)
            next_hop = f"sip:{answerer.name};transport={transport}"
        return self._offer(offerer, answerer, next_hop, by_caller=by_caller)

    def _sides(self, next_hop: str) -> tuple[routing.Trunk, routing.Trunk]:
        """Trunks (offerer, answerer) of a request in a dialog; by addresses when the dialog's record is lost."""
        caller = self.table.by_name(KSR.pv.gete("$dlg_var(caller)"))
        callee = self.table.by_name(KSR.pv.gete("$dlg_var(callee)"))
        nobody = routing.Trunk(name="")
        if caller is None and callee is None:
            here = self.table.by_source(KSR.pv.gete("$si")) or nobody
            return here, self.table.by_next_hop(next_hop) or nobody
        if KSR.rr.is_direction("upstream") > 0:
            return callee or nobody, caller or nobody
        return caller or nobody, callee or nobody

    def _answer_late(self) -> None:
        """The ACK of a late offer carries the answer."""
        if not KSR.pv.gete("$dlg_var(late)") or not KSR.pv.gete("$rb"):
            return
        KSR.pv.sets("$dlg_var(late)", "")
        if KSR.textops.has_body_type(SDP_TYPE) < 0:  # row C08
            self._disable(media_flags.unreadable(KSR.pv.gete("$cT"))[2])
            return
        nobody = routing.Trunk(name="")
        answerer = self.table.by_source(KSR.pv.gete("$si")) or nobody
        offerer = self.table.by_name(KSR.pv.gete("$dlg_var(callee)")) or nobody
        if _put_to_gateway(KSR.rtpengine.rtpengine_answer, media_flags.answer_flags(answerer, offerer)):
            KSR.textops.set_body(KSR.pv.gete(SDP), SDP_TYPE)
        else:
            self._disable("answer_not_acceptable")

    def _end_unanswered(self) -> int:
        """The callee's answer was not acceptable: both sides agreed on nothing, so both are told BYE (row H01)."""
        reason = KSR.pv.gete("$dlg_var(unanswerable)")
        if reason:
            _event("refused", status=488, reason=reason)
            # ACK is no transaction of tm's, so the dialog is not at hand by itself.
            KSR.dialog.dlg_get(_call_id(), KSR.pv.gete("$ft"), KSR.pv.gete("$tt"))
            KSR.dialog.dlg_bye("all")
            KSR.rtpengine.rtpengine_delete("")
        return 1

    def _disable(self, reason: str) -> None:
        """Whatever one side said about media must not reach the other one: it would go round the gateway."""
        KSR.textops.set_body(media_flags.disabled_answer(KSR.pv.gete("$rb")), SDP_TYPE)
        if reason:
            KSR.pv.sets("$dlg_var(unanswerable)", reason)

    # the request as it leaves ---------------------------------------------------------------------------------------

    def ksr_branch(self, message: Any) -> int:
        """The gateway's SDP in place of the offerer's. Changes of a branch end with it, so that a second attempt
        starts from the body as it came."""
        sdp = KSR.pv.gete(SDP)
        if sdp:
            KSR.textops.set_body(sdp, SDP_TYPE)
        return 1

    # replies --------------------------------------------------------------------------------------------------------

    def ksr_reply(self, message: Any) -> int:
        KSR.hdr.remove("Server")
        KSR.hdr.remove("User-Agent")
        status = int(KSR.pv.get("$rs") or 0)
        if not 180 <= status < 300 or not KSR.pv.gete("$rb"):
            return 1
        if KSR.textops.has_body_type(SDP_TYPE) < 0:
            self._disable(media_flags.unreadable(KSR.pv.gete("$cT"))[2] if status >= 200 else "")
            return 1
        try:
            engaged = self._engage_reply()
        except Exception as error:  # whatever it was, the reply must not leave as it came
            _event("error", error=repr(error))
            engaged = False
        if engaged:
            KSR.textops.set_body(KSR.pv.gete(SDP), SDP_TYPE)
        else:
            self._disable(self._why_unanswered() if status >= 200 else "")
        return 1

    def _engage_reply(self) -> bool:
        """Hand the SDP of a reply to the gateway: the answer, or the offer when the INVITE had none."""
        offerer, answerer = (self._named(f"$avp({side})") for side in ("offerer", "answerer"))
        if not KSR.isflagset(LATE_OFFER):
            return _put_to_gateway(KSR.rtpengine.rtpengine_answer, media_flags.answer_flags(answerer, offerer))
        try:
            back = f"sip:{KSR.pv.gete('$T_req($si)')};transport={str(KSR.pv.gete('$T_req($proto)')).lower()}"
            flags = media_flags.offer_flags(answerer, offerer, _transport(), back, self.table.sdes_requires_tls)
        except media_flags.Refused:
            return False
        KSR.pv.sets("$dlg_var(late)", offerer.name or "?")
        return _put_to_gateway(KSR.rtpengine.rtpengine_offer, flags)

    def _why_unanswered(self) -> str:
        """The word for the log (row H01)."""
        answer = media_flags.facts(KSR.pv.gete("$rb"))
        required = self._named("$avp(answerer)").outbound.mode == "mandatory" and not KSR.isflagset(LATE_OFFER)
        return "crypto_required" if required and not (answer.secure and answer.crypto) else "answer_not_acceptable"

    def _named(self, variable: str) -> routing.Trunk:
        return self.table.by_name(KSR.pv.gete(variable)) or routing.Trunk(name="")

    def ksr_failure(self, message: Any) -> int:
        """The call did not come about (also after CANCEL and on timeout): nothing may stay behind."""
        status = int(KSR.pv.get("$T_reply_code") or 0)
        if status in fallback.NOT_ACCEPTABLE and self._retry_plain(status):
            return 1
        KSR.rtpengine.rtpengine_delete("")
        _event("failed", status=status)
        return 1

    def _retry_plain(self, status: int) -> bool:
        """The callee refused the secure offer that its trunk's policy leaves open: offer plain RTP on a new branch,
        once, and not to a caller who has hung up meanwhile (row H02)."""
        if not KSR.pv.gete("$avp(fallback)") or KSR.tm.t_is_canceled() > 0:
            return False
        KSR.pv.sets("$avp(fallback)", "")
        caller, callee = (self._named(f"$avp({side})") for side in ("offerer", "answerer"))
        flags = media_flags.offer_flags(
            caller, fallback.plain(callee), _transport(), caller.destination, self.table.sdes_requires_tls
        )
        if not _put_to_gateway(KSR.rtpengine.rtpengine_offer, flags):
            return False
        _event("retried_plain", status=status)
        KSR.pv.sets("$ru", KSR.pv.gete("$ru"))  # a target for the new branch: t_relay takes none that has failed
        KSR.pv.sets("$du", caller.destination)
        _leave_by(callee)
        self._relay_invite()
        return True

    def ksr_failure_within(self, message: Any) -> int:
        """A re-INVITE was refused: the session stays as it was (RFC 3261 section 14.1)."""
        _event("reinvite_failed", status=int(KSR.pv.get("$T_reply_code") or 0))
        return 1

    def ksr_dialog_event(self, message: Any, event: str) -> int:
        """Dialogs that end without a BYE from a peer (timeout, our own BYE) free their media too.

        With a peer's BYE this runs inside `loose_route`, before the request route deletes the media itself."""
        ended = KSR.pv.gete("$rm") == "BYE" or KSR.pv.gete("$dlg_var(unanswerable)")  # whoever did it deletes the media
        if event == "dialog:end" and not ended:
            # No message of this dialog is at hand here: Kamailio makes one up, with a Call-ID of its own.
            call_id, from_tag = KSR.pv.gete("$dlg(callid)"), KSR.pv.gete("$dlg(from_tag)")
            KSR.rtpengine.rtpengine_delete(f"call-id={call_id} from-tag={from_tag}")
        return 1


def _reply(status: int, phrase: str, *, allow: bool = False) -> int:
    if allow:
        KSR.hdr.append_to_reply(f"Allow: {ALLOW}\r\n")
    if status == 415:  # RFC 3261 section 21.4.13
        KSR.hdr.append_to_reply(f"Accept: {SDP_TYPE}\r\n")
    if KSR.pv.gete("$rm") != "ACK":
        KSR.sl.send_reply(status, phrase)
    return 1


def _put_to_gateway(verb: Callable[[str], int], flags: str) -> bool:
    """Whether the gateway wrote an SDP, which then is in SDP."""
    KSR.pv.sets(SDP, "")
    return verb(flags) > 0 and bool(KSR.pv.gete(SDP))


def _hide() -> None:
    """Headers that tell the other side what equipment this one has (rows I05, K04)."""
    KSR.hdr.remove("User-Agent")
    KSR.hdr.remove("Server")


def _leave_by(trunk: routing.Trunk) -> None:
    if trunk.listen:
        KSR.pv.sets("$fs", trunk.listen)


def _transport() -> str:
    return str(KSR.pv.gete("$proto")).lower()


def _call_id() -> str:
    return str(KSR.pv.gete("$ci"))


def _event(name: str, **details: object) -> None:
    """One line of JSON per decision, one call id through all of them."""
    record = {"event": f"sip_{name}", "call_id": _call_id(), "method": KSR.pv.gete("$rm"), "source": KSR.pv.gete("$si")}
    KSR.notice(json.dumps({**record, **details}) + "\n")
