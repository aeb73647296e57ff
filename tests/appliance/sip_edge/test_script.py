"""The routing script against a fake Kamailio: what is called, in which order, for each kind of request and reply."""

from __future__ import annotations

import importlib
import json
from types import ModuleType
from typing import Any

import pytest

from appliance.sip_edge.ksr import refusal
from appliance.sip_edge.ksr.routing import MediaPolicy, RoutingTable, Trunk
from tests.appliance.sip_edge.fake_ksr import GATEWAY_SDP, FakeKSR

PLAIN = "v=0\r\nm=audio 8000 RTP/AVP 0\r\n"
KEYLESS = "v=0\r\nm=audio 8000 RTP/SAVP 0\r\n"
SECURE = "v=0\r\nm=audio 8000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
PHONES = Trunk("phones", ("10.1.0.0/16",), "sip:10.2.0.2:5060", interface="in")
CORE = Trunk("core", ("10.2.0.0/16",), "sip:10.1.0.2:5060", interface="out", outbound=MediaPolicy("mandatory"))
TABLE = RoutingTable((PHONES, CORE), sdes_requires_tls=False, ng=("127.0.0.1:2223",))


@pytest.fixture
def script(ksr: FakeKSR) -> ModuleType:
    return importlib.import_module("appliance.sip_edge.ksr.script")


@pytest.fixture
def edge(script: ModuleType) -> Any:
    return script.Kamailio(TABLE)


def arrive(ksr: FakeKSR, method: str, source: str = "10.1.0.2", sdp: str = "", *, in_dialog: bool = False) -> None:
    ksr.variables |= {"$rm": method, "$si": source, "$ci": "call-1", "$proto": "udp", "$rb": sdp, "$ft": "tag-a"}
    ksr.answers["siputils.has_totag"] = 1 if in_dialog else -1
    ksr.answers["textops.has_body_type"] = 1 if sdp else -1


def order(ksr: FakeKSR, *names: str) -> list[str]:
    return [call[0] for call in ksr.calls if call[0] in names]


def event(ksr: FakeKSR) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(ksr.log[-1])
    return record


def test_an_invite_is_answered_100_then_offered_then_relayed(ksr: FakeKSR, edge: Any) -> None:
    """I01, I03: 100 before anything slow; media engaged before the INVITE leaves."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    assert order(ksr, "force_rport", "tm.t_reply", "dialog.dlg_manage", "rtpengine.rtpengine_offer", "tm.t_relay") == [
        "force_rport", "tm.t_reply", "dialog.dlg_manage", "rtpengine.rtpengine_offer", "tm.t_relay",
    ]  # fmt: skip
    assert ksr.replies == [(100, "Trying")]
    assert ksr.variables["$du"] == PHONES.destination


def test_the_offer_is_secured_as_the_callees_trunk_says(ksr: FakeKSR, edge: Any) -> None:
    """I04, H01: RTP/SAVP towards a mandatory trunk, through both interfaces."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    flags = ksr.called("rtpengine.rtpengine_offer")[0][0].split()
    assert {"transport-protocol=RTP/SAVP", "replace-origin", "replace-session-connection"} <= set(flags)
    assert flags.index("direction=in") < flags.index("direction=out")


def test_the_callers_equipment_is_not_named(ksr: FakeKSR, edge: Any) -> None:
    """I05, K04."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    assert ksr.called("hdr.remove") == [("User-Agent",), ("Server",)]


@pytest.mark.parametrize(
    ("source", "status", "reason"), [("192.0.2.9", 404, "no_trunk"), ("10.3.0.1", 404, "no_destination")]
)
def test_a_call_that_leads_nowhere_is_404(
    ksr: FakeKSR, script: ModuleType, source: str, status: int, reason: str
) -> None:
    """Nobody's call, or a trunk without a destination."""
    edge = script.Kamailio(RoutingTable((*TABLE.trunks, Trunk("mute", ("10.3.0.0/16",)))))
    arrive(ksr, "INVITE", source, PLAIN)
    edge.ksr_request_route(None)
    assert ksr.replies[-1][0] == status
    assert event(ksr)["reason"] == reason
    assert not ksr.called("tm.t_relay")


def test_a_mandatory_trunk_may_not_offer_plain_rtp(ksr: FakeKSR, script: ModuleType) -> None:
    """H01: inbound AVP-only offer -> 488, and the gateway is not even asked."""
    strict = Trunk("phones", ("10.1.0.0/16",), "sip:10.2.0.2", inbound=MediaPolicy("mandatory"))
    edge = script.Kamailio(RoutingTable((strict, CORE), sdes_requires_tls=False))
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    assert ksr.replies[-1][0] == 488
    assert event(ksr)["reason"] == "crypto_required"
    assert not ksr.called("rtpengine.rtpengine_offer")


@pytest.mark.parametrize(("status", "reason"), [(488, "not-acceptable"), (503, "no-capacity")])
def test_the_gateways_refusal_is_the_calls(
    ksr: FakeKSR, edge: Any, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    """488 when negotiation fails, 503 when the gateway has no room."""
    monkeypatch.setattr(refusal, "ask", lambda *_, new_call: refusal.Verdict(status, "Phrase", reason))
    arrive(ksr, "INVITE", sdp=PLAIN)
    ksr.answers["rtpengine.rtpengine_offer"] = -1
    edge.ksr_request_route(None)
    assert ksr.replies[-1] == (status, "Phrase")
    assert not ksr.called("tm.t_relay")


def test_options_and_unknown_methods(ksr: FakeKSR, edge: Any) -> None:
    """I07: OPTIONS 200, unknown 405, both with Allow."""
    for method, status in (("OPTIONS", 200), ("FROBNICATE", 405)):
        arrive(ksr, method)
        edge.ksr_request_route(None)
        assert ksr.replies[-1][0] == status
        assert "INVITE" in ksr.called("hdr.append_to_reply")[-1][0]


def test_malformed_requests_stop_at_the_door(ksr: FakeKSR, edge: Any) -> None:
    """K01: what sanity refuses is not routed."""
    ksr.answers["sanity.sanity_check"] = -1
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    assert not ksr.called("rtpengine.rtpengine_offer")


def test_an_ack_is_never_answered(ksr: FakeKSR, edge: Any) -> None:
    """RFC 3261 section 17: there is no response to ACK."""
    ksr.answers["maxfwd.process_maxfwd"] = -1
    arrive(ksr, "ACK")
    edge.ksr_request_route(None)
    assert ksr.replies == []


def test_bye_deletes_the_media_and_is_relayed(ksr: FakeKSR, edge: Any) -> None:
    """Issue 2, 7."""
    arrive(ksr, "BYE", in_dialog=True)
    edge.ksr_request_route(None)
    assert order(ksr, "rtpengine.rtpengine_delete", "tm.t_relay") == ["rtpengine.rtpengine_delete", "tm.t_relay"]


def test_a_dialog_that_ends_otherwise_deletes_it_too(ksr: FakeKSR, edge: Any) -> None:
    """Timeout and our own BYE: no request comes through the route; after a peer's BYE nothing is deleted twice."""
    arrive(ksr, "OPTIONS")  # made up by Kamailio, with a Call-ID that is nobody's
    ksr.variables |= {"$ci": "123", "$dlg(callid)": "call-1", "$dlg(from_tag)": "tag-a"}
    edge.ksr_dialog_event(None, "dialog:end")
    assert ksr.called("rtpengine.rtpengine_delete") == [("call-id=call-1 from-tag=tag-a",)]
    arrive(ksr, "BYE")
    edge.ksr_dialog_event(None, "dialog:end")
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


def test_cancel_is_relayed_only_when_there_is_something_to_cancel(ksr: FakeKSR, edge: Any) -> None:
    """RFC 3261 section 9.2; the media goes when the 487 is in."""
    arrive(ksr, "CANCEL")
    edge.ksr_request_route(None)
    assert not ksr.called("tm.t_relay")
    ksr.answers["tm.t_check_trans"] = 1
    edge.ksr_request_route(None)
    assert len(ksr.called("tm.t_relay")) == 1
    edge.ksr_failure(None)
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


@pytest.mark.parametrize(("direction", "source", "wanted"), [(-1, "10.1.0.2", "RTP/SAVP"), (1, "10.2.0.2", "RTP/AVP")])
def test_a_reinvite_is_offered_from_the_side_that_asks(
    ksr: FakeKSR, edge: Any, direction: int, source: str, wanted: str
) -> None:
    """Issue 2, 7: towards the callee as at set-up, towards the caller plain."""
    arrive(ksr, "INVITE", source, PLAIN if direction < 0 else SECURE, in_dialog=True)
    ksr.answers["rr.is_direction"] = direction
    ksr.variables |= {"$dlg_var(caller)": "phones", "$dlg_var(callee)": "core", "$ru": "sip:10.9.9.9"}
    edge.ksr_request_route(None)
    assert f"transport-protocol={wanted}" in ksr.called("rtpengine.rtpengine_offer")[0][0].split()


def test_a_callees_reinvite_keeps_the_callers_srtp(ksr: FakeKSR, edge: Any) -> None:
    """C3: the caller offered SRTP over TLS; its trunk has no outbound word, and still is not offered plain RTP."""
    arrive(ksr, "INVITE", "10.1.0.2", SECURE)
    ksr.variables["$proto"] = "TLS"
    edge.ksr_request_route(None)
    arrive(ksr, "INVITE", "10.2.0.2", PLAIN, in_dialog=True)
    ksr.answers["rr.is_direction"] = 1
    ksr.variables |= {"$ru": "sip:10.9.9.9", "$proto": "UDP"}
    edge.ksr_request_route(None)
    flags = ksr.called("rtpengine.rtpengine_offer")[-1][0].split()
    assert {"transport-protocol=RTP/SAVP", "signalling-secure-out"} <= set(flags)


def test_a_call_that_came_secured_leaves_secured(ksr: FakeKSR, script: ModuleType) -> None:
    """H12, in the script: the callee's trunk is unset, the caller's binds."""
    binding = Trunk("phones", ("10.1.0.0/16",), "sip:10.2.0.2;transport=tls", secure_in=("AES_CM_128_HMAC_SHA1_80",))
    edge = script.Kamailio(RoutingTable((binding, Trunk("core", ("10.2.0.0/16",)))))
    for sdp, wanted in ((SECURE, "RTP/SAVP"), (PLAIN, "RTP/AVP")):
        arrive(ksr, "INVITE", sdp=sdp)
        ksr.variables["$proto"] = "TLS"
        edge.ksr_request_route(None)
        assert f"transport-protocol={wanted}" in ksr.called("rtpengine.rtpengine_offer")[-1][0].split()


def test_a_reinvite_of_a_forgotten_dialog_goes_by_addresses(ksr: FakeKSR, edge: Any) -> None:
    """DESIGN 2: Kamailio restarted without its records still secures the right side."""
    arrive(ksr, "INVITE", "10.1.0.2", PLAIN, in_dialog=True)
    ksr.variables |= {"$du": "sip:10.2.0.2:5060"}
    edge.ksr_request_route(None)
    assert "transport-protocol=RTP/SAVP" in ksr.called("rtpengine.rtpengine_offer")[0][0].split()


@pytest.mark.parametrize("status", [180, 183, 200])
def test_a_reply_with_sdp_is_answered_to_the_gateway(ksr: FakeKSR, edge: Any, status: int) -> None:
    """Issue 2, 7: early media too."""
    arrive(ksr, "INVITE", sdp=SECURE)
    ksr.variables["$rs"] = status
    edge.ksr_reply(None)
    assert len(ksr.called("rtpengine.rtpengine_answer")) == 1
    assert ksr.called("textops.set_body") == [(GATEWAY_SDP, "application/sdp")]


@pytest.mark.parametrize("failure", [-1, 1, RuntimeError("bug")])
def test_an_answer_that_cannot_be_used_never_leaves_as_it_came(ksr: FakeKSR, edge: Any, failure: Any) -> None:
    """Fail closed: no key or address of the callee reaches the caller, and the call is ended after ACK."""

    def answer(flags: str) -> int:
        if isinstance(failure, Exception):
            raise failure
        return int(failure)

    arrive(ksr, "INVITE", sdp=SECURE)
    ksr.variables["$rs"] = 200
    ksr.answers["rtpengine.rtpengine_answer"] = answer
    edge.ksr_reply(None)
    body = ksr.called("textops.set_body")[0][0]
    assert "m=audio 0 RTP/SAVP" in body
    assert "crypto" not in body
    arrive(ksr, "ACK", in_dialog=True)
    ksr.variables["$tt"] = "tag-b"
    edge.ksr_request_route(None)
    assert order(ksr, "dialog.dlg_get", "dialog.dlg_bye") == ["dialog.dlg_get", "dialog.dlg_bye"]
    assert ksr.called("dialog.dlg_get") == [("call-1", "tag-a", "tag-b")]
    assert ksr.called("dialog.dlg_bye") == [("all",)]
    edge.ksr_dialog_event(None, "dialog:end")
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


@pytest.mark.parametrize(
    ("answer", "reason"), [(PLAIN, "crypto_required"), (KEYLESS, "crypto_required"), (SECURE, "answer_not_acceptable")]
)
def test_the_log_says_why_an_answered_call_was_ended(ksr: FakeKSR, edge: Any, answer: str, reason: str) -> None:
    """H01: an answer without crypto is torn down with the reason `crypto_required`."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    ksr.answers["rtpengine.rtpengine_answer"] = -1
    ksr.variables |= {"$rs": 200, "$rb": answer}
    edge.ksr_reply(None)
    arrive(ksr, "ACK", in_dialog=True)
    edge.ksr_request_route(None)
    assert event(ksr)["reason"] == reason


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("application/pkcs7-mime; smime-type=enveloped-data", 488, "smime_without_key"),
        ("multipart/signed;boundary=x", 488, "smime_without_key"),
        ("multipart/mixed;boundary=x", 415, "body_not_sdp"),
    ],
)
def test_a_body_that_cannot_be_read_goes_no_further(
    ksr: FakeKSR, edge: Any, kind: str, status: int, reason: str
) -> None:
    """C08: neither stripped nor passed on; an INVITE is refused, an answer ends the call."""
    arrive(ksr, "INVITE", sdp="0\x82 not to be read")
    ksr.answers["textops.has_body_type"] = -1
    ksr.variables["$cT"] = kind
    edge.ksr_request_route(None)
    assert ksr.replies[-1][0] == status and event(ksr)["reason"] == reason
    assert not ksr.called("tm.t_relay") and not ksr.called("rtpengine.rtpengine_offer")
    assert bool(ksr.called("hdr.append_to_reply")) == (status == 415)
    ksr.variables["$rs"] = 200
    edge.ksr_reply(None)
    assert "not to be read" not in ksr.called("textops.set_body")[0][0]
    assert ksr.variables["$dlg_var(unanswerable)"] == reason


def test_a_late_offer_is_taken_from_the_reply_and_answered_by_the_ack(ksr: FakeKSR, edge: Any) -> None:
    """RFC 3261 section 13.2.1: INVITE without SDP."""
    arrive(ksr, "INVITE")
    edge.ksr_request_route(None)
    assert not ksr.called("rtpengine.rtpengine_offer")
    arrive(ksr, "INVITE", sdp=SECURE)
    ksr.variables |= {"$rs": 200, "$T_req($si)": "10.1.0.2", "$T_req($proto)": "UDP"}
    edge.ksr_reply(None)
    assert "transport-protocol=RTP/AVP" in ksr.called("rtpengine.rtpengine_offer")[0][0].split()
    arrive(ksr, "ACK", sdp=PLAIN, in_dialog=True)
    edge.ksr_request_route(None)
    assert len(ksr.called("rtpengine.rtpengine_answer")) == 1
    assert ksr.called("textops.set_body")[-1] == (GATEWAY_SDP, "application/sdp")


def test_an_ack_whose_answer_cannot_be_used_never_leaves_as_it_came(ksr: FakeKSR, edge: Any) -> None:
    """Fail closed, late offer: the caller's address does not go round the gateway, and the call is ended."""
    ksr.answers["rtpengine.rtpengine_answer"] = -1
    arrive(ksr, "ACK", sdp=PLAIN, in_dialog=True)
    ksr.variables["$dlg_var(late)"] = "phones"
    edge.ksr_request_route(None)
    assert "m=audio 0 RTP/AVP" in ksr.called("textops.set_body")[-1][0]
    assert ksr.called("dialog.dlg_bye") == [("all",)]


def test_an_ack_whose_answer_is_no_sdp_never_leaves_as_it_came(ksr: FakeKSR, edge: Any) -> None:
    """C08: S/MIME in the ACK of a late offer: not relayed unread, and the call is ended."""
    arrive(ksr, "ACK", in_dialog=True)
    ksr.variables |= {"$dlg_var(late)": "phones", "$rb": "MIIB", "$cT": "application/pkcs7-mime"}
    edge.ksr_request_route(None)
    assert "MIIB" not in ksr.called("textops.set_body")[-1][0]
    assert not ksr.called("rtpengine.rtpengine_answer")
    assert ksr.called("dialog.dlg_bye") == [("all",)]


def test_events_are_json_with_the_call_id(ksr: FakeKSR, edge: Any) -> None:
    """STYLE 20: one call id through all lines, no body in them."""
    arrive(ksr, "INVITE", "192.0.2.9", SECURE)
    edge.ksr_request_route(None)
    assert event(ksr) == {
        "event": "sip_refused", "call_id": "call-1", "method": "INVITE", "source": "192.0.2.9", "status": 404,
        "reason": "no_trunk",
    }  # fmt: skip


def test_a_calls_states_are_told_in_order(ksr: FakeKSR, edge: Any) -> None:
    """I02: NEW, INIT, ROUTING, RINGING, ANSWERED, HANGUP; a reply to a re-INVITE is no state of the call's."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    for status in (100, 180, 200):
        ksr.variables["$rs"] = status
        edge.ksr_reply(None)
    ksr.variables["$avp(next_hop)"] = ""  # another transaction, which has AVPs of its own
    edge.ksr_reply(None)
    arrive(ksr, "BYE", in_dialog=True)
    edge.ksr_request_route(None)
    told = [record for record in map(json.loads, ksr.log) if record["event"] == "sip_call"]
    assert [record["state"] for record in told] == ["NEW", "INIT", "ROUTING", "RINGING", "ANSWERED", "HANGUP"]
    assert {record["call_id"] for record in told} == {"call-1"}
