"""SDP through the gateway: offers of requests, answers in replies, answers in ACKs, and what must not pass unread."""

from __future__ import annotations

from collections.abc import Callable

import KSR

from appliance.sip_edge.ksr import fallback, media_flags, read, refusal, say
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk, transport_of
from appliance.sip_edge.ksr.rules import transparent, webrtc

GIVEN = "$var(given_sdp)"  # what the gateway is given to read (modparam read_sdp_pv)
SDP = "$var(sdp)"  # the SDP that the gateway wrote last (modparam write_sdp_pv)
LATE_OFFER = 1  # message flag: the INVITE had no SDP, so the 200 offers and the ACK answers (RFC 3261 section 13.2.1)
NOBODY = Trunk(name="")


def offer(table: RoutingTable, offerer: Trunk, answerer: Trunk, *next_hops: str, by_caller: bool) -> bool:
    """Engage the gateway with the SDP of this request; False when the request was answered instead."""
    verdict = engage(table, offerer, answerer, *next_hops, by_caller=by_caller)
    if verdict is not None:
        say.refuse(verdict.status, verdict.phrase, verdict.reason)
    return verdict is None


def engage(
    table: RoutingTable, offerer: Trunk, answerer: Trunk, *next_hops: str, by_caller: bool
) -> refusal.Verdict | None:
    """Put the SDP of this request to the gateway; what to answer when it cannot be offered to `answerer`. Where some of
    `next_hops` are WebRTC legs and others not, each kind gets an offer of its own: the first to answer has the call."""
    kinds = {_kind(answerer, transport_of(hop)): hop for hop in reversed(next_hops)}
    KSR.pv.sets("$avp(kinds)", str(len(kinds)))
    for kind, hop in reversed(kinds.items()):
        KSR.pv.sets("$avp(kind)", kind)
        verdict = _engage(table, offerer, answerer, hop, by_caller=by_caller)
        if verdict is not None:
            return verdict
        KSR.pv.sets(f"$var(sdp_{kind})", KSR.pv.gete(SDP))
    return None


def _engage(
    table: RoutingTable, offerer: Trunk, answerer: Trunk, next_hop: str, *, by_caller: bool
) -> refusal.Verdict | None:
    between(offerer, answerer)
    KSR.pv.sets(SDP, "")
    if not has_sdp():
        if read.text("$rb"):  # media described in a way that we cannot read would go round the gateway
            return refusal.Verdict(*media_flags.unreadable(KSR.pv.gete("$cT")))
        KSR.setflag(LATE_OFFER)
        return None
    secure_signalling = table.sdes_requires_tls
    offerer = media_flags.by_its_leg(offerer, say.transport())
    try:
        media_flags.check_offer(read.text("$rb"), offerer, say.transport(), secure_signalling)
        if by_caller:
            answerer = media_flags.bound(offerer, answerer, read.text("$rb"), say.transport())
        media_flags.check_passed_on(read.text("$rb"), offerer, answerer, next_hop, secure_signalling)
        flags = media_flags.offer_flags(offerer, answerer, say.transport(), next_hop, secure_signalling) + _branch()
    except media_flags.Refused as refused:
        return refusal.Verdict(488, "Not Acceptable Here", refused.reason)
    new_call = KSR.siputils.has_totag() < 0
    if put_to_gateway(KSR.rtpengine.rtpengine_offer, flags):
        again = new_call and not _branch() and fallback.possible(answerer, flags)
        KSR.pv.sets("$avp(fallback)", "1" if again else "")
        return None
    words = (table.ng, say.call_id(), KSR.pv.gete("$ft"), read.text(GIVEN), flags)
    return refusal.ask(*words, new_call=new_call)


def into_branch(answerer: Trunk) -> str:
    """The gateway's SDP in place of the offerer's, and what it is. Changes of a branch end with it, so that a second
    attempt starts from the body as it came."""
    leg = _kind(answerer, transport_of(KSR.pv.gete("$du") or read.text("$ru")))
    sdp = KSR.pv.gete(f"$var(sdp_{leg})" if _branch() else SDP)
    return _into_body(sdp) if sdp else ""


def into_reply(table: RoutingTable) -> str:
    """The gateway's SDP in place of the answerer's, and what it is."""
    status = int(KSR.pv.get("$rs") or 0)
    if not 180 <= status < 300:
        unasked()
        return ""
    if not read.text("$rb"):
        return ""
    if not has_sdp():
        _disable(media_flags.unreadable(KSR.pv.gete("$cT"))[2] if status >= 200 else "")
        return ""
    try:
        engaged = _engage_reply(table)
    except Exception as error:  # whatever it was, the reply must not leave as it came
        say.event("error", error=repr(error))
        engaged = False
    if not engaged:
        _disable(_why_unanswered(table) if status >= 200 else "")
        return ""
    return _into_body(KSR.pv.gete(SDP))


def answers_late(method: str) -> bool:
    """Whether this request carries the answer to an offer of a reply: the ACK of a 2xx, or the PRACK of a reliable
    provisional one (RFC 3262 section 5)."""
    return method in ("ACK", "PRACK") and bool(KSR.pv.gete("$dlg_var(late)")) and bool(read.text("$rb"))


def unasked() -> None:
    """An SDP that is neither offer nor answer, such as the capabilities in a 488 or in the answer to OPTIONS: nobody
    has read it for addresses and keys, so it goes no further."""
    if has_sdp():
        KSR.textopsx.remove_body()


def has_sdp() -> bool:
    return bool(KSR.textops.has_body_type(say.SDP_TYPE) > 0)


def late_answer(answerer: Trunk, offerer: Trunk) -> str:
    """The SDP of such a request, from `answerer` to `offerer` (the sides of the dialog): the gateway's in its place,
    and what it is."""
    KSR.pv.sets("$dlg_var(late)", "")
    if not has_sdp():  # row C08
        _disable(media_flags.unreadable(KSR.pv.gete("$cT"))[2])
        return ""
    flags = media_flags.answer_flags(answerer, offerer, transport_of(KSR.pv.gete("$du") or read.text("$ru")))
    if not put_to_gateway(KSR.rtpengine.rtpengine_answer, flags):
        _disable("answer_not_acceptable")
        return ""
    return _into_body(KSR.pv.gete(SDP))


def put_to_gateway(verb: Callable[[str], int], flags: str) -> bool:
    """Whether the gateway wrote an SDP, which then is in SDP."""
    KSR.pv.sets(SDP, "")
    if transparent.WORD not in flags.split():
        give_body()
        return verb(flags) > 0 and bool(KSR.pv.gete(SDP))
    plain, kept = transparent.taken_out(read.text("$rb"))
    KSR.pv.sets(GIVEN, plain)
    if verb(flags) < 0 or not KSR.pv.gete(SDP):
        return False
    KSR.pv.sets(SDP, transparent.put_back(KSR.pv.gete(SDP), kept))
    return True


def give_body() -> None:
    """The gateway is to read the body of this message: octets as they are."""
    KSR.pvx.evalx(GIVEN, "$rb")


def delete(words: str = "") -> None:
    """Nothing of the call may stay behind."""
    KSR.rtpengine.rtpengine_delete(words)


def between(offerer: Trunk, answerer: Trunk) -> None:
    """Remember for this transaction who asks whom."""
    KSR.pv.sets("$avp(offerer)", offerer.name)
    KSR.pv.sets("$avp(answerer)", answerer.name)


def sides(table: RoutingTable) -> tuple[Trunk, Trunk]:
    """As `between` was told."""
    return named(table, "$avp(offerer)"), named(table, "$avp(answerer)")


def named(table: RoutingTable, variable: str) -> Trunk:
    """The trunk whose name a variable holds."""
    return table.by_name(KSR.pv.gete(variable)) or NOBODY


def _engage_reply(table: RoutingTable) -> bool:
    """Hand the SDP of a reply to the gateway: the answer, or the offer when the INVITE had none."""
    offerer, answerer = sides(table)
    transport = str(KSR.pv.gete("$T_req($proto)")).lower()
    if not KSR.isflagset(LATE_OFFER):
        KSR.pv.sets("$avp(kind)", _kind(answerer, say.transport()))
        flags = media_flags.answer_flags(answerer, offerer, transport) + _branch()
        return put_to_gateway(KSR.rtpengine.rtpengine_answer, flags)
    try:
        back = f"sip:{KSR.pv.gete('$T_req($si)')};transport={transport}"
        answerer = media_flags.by_its_leg(answerer, say.transport())
        flags = media_flags.offer_flags(answerer, offerer, say.transport(), back, table.sdes_requires_tls)
    except media_flags.Refused:
        return False
    KSR.pv.sets("$dlg_var(late)", offerer.name or "?")
    return put_to_gateway(KSR.rtpengine.rtpengine_offer, flags)


def _into_body(sdp: str) -> str:
    KSR.textops.set_body(sdp, say.SDP_TYPE)
    return sdp


def _kind(trunk: Trunk, transport: str) -> str:
    return "webrtc" if webrtc.is_webrtc(trunk.webrtc, transport) else "other"


def _branch() -> str:
    """The word that tells the gateway the offers of one call apart; nothing where there is one. Kamailio's rtpengine
    module takes the name from $avp(kind) (its parameter extra_id_pv)."""
    return " via-branch=extra" if KSR.pv.gete("$avp(kinds)") == "2" else ""


def _why_unanswered(table: RoutingTable) -> str:
    """The word for the log (row H01)."""
    answer = media_flags.facts(read.text("$rb"))
    required = named(table, "$avp(answerer)").outbound.mode == "mandatory" and not KSR.isflagset(LATE_OFFER)
    return "crypto_required" if required and not (answer.secure and answer.crypto) else "answer_not_acceptable"


def _disable(reason: str) -> None:
    """Whatever one side said about media must not reach the other one: it would go round the gateway."""
    KSR.textops.set_body(media_flags.disabled_answer(read.text("$rb")), say.SDP_TYPE)
    if reason:
        KSR.pv.sets("$dlg_var(unanswerable)", reason)
