"""H02: the callee refuses the secure offer; the routing script against a fake Kamailio, and what may follow at all."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import pytest

from appliance.sip_edge.ksr import fallback
from appliance.sip_edge.ksr.routing import MediaPolicy, RoutingTable, Trunk
from tests.appliance.sip_edge.fake_ksr import GATEWAY_SDP, FakeKSR
from tests.appliance.sip_edge.test_script import PHONES, PLAIN, SECURE, arrive, event, order

CORE = Trunk("core", ("10.2.0.0/16",), "sip:10.1.0.2:5060", listen="udp:10.2.0.1:5060", interface="out",
             outbound=MediaPolicy("optional"), flags=("OSRTP-offer", "SDES-nopad"))  # fmt: skip


def edge_of(core: Trunk, *, sdes_requires_tls: bool = False) -> Any:
    script = importlib.import_module("appliance.sip_edge.ksr.script")
    return script.Kamailio(RoutingTable((PHONES, core), sdes_requires_tls=sdes_requires_tls))


def refused(ksr: FakeKSR, edge: Any, status: int = 488) -> None:
    """An INVITE has been relayed and the callee answered it with `status`."""
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    edge.ksr_branch(None)
    ksr.calls.clear()
    ksr.variables["$T_reply_code"] = status
    edge.ksr_failure(None)


def offers(ksr: FakeKSR) -> list[list[str]]:
    return [flags.split() for (flags,) in ksr.called("rtpengine.rtpengine_offer")]


@pytest.mark.parametrize("status", [415, 488, 606])
def test_an_optional_callee_that_refuses_is_offered_plain_rtp(ksr: FakeKSR, status: int) -> None:
    """H02: one new branch to the same place, its offer without any key; the first one's SDP does not stay in it."""
    edge = edge_of(CORE)
    refused(ksr, edge, status)
    (flags,) = offers(ksr)
    assert {"transport-protocol=RTP/AVP", "SDES-off", "SDES-nopad"} <= set(flags)
    assert "OSRTP-offer" not in flags
    assert order(ksr, "rtpengine.rtpengine_offer", "tm.t_on_branch", "tm.t_relay") == [
        "rtpengine.rtpengine_offer", "tm.t_on_branch", "tm.t_relay",
    ]  # fmt: skip
    assert (ksr.variables["$du"], ksr.variables["$fs"]) == (PHONES.destination, CORE.listen)
    assert not ksr.called("rtpengine.rtpengine_delete")
    assert not ksr.called("rr.record_route")  # the first attempt's is in every branch
    assert event(ksr)["event"] == "sip_retried_plain"
    edge.ksr_branch(None)
    assert ksr.called("textops.set_body") == [(GATEWAY_SDP, "application/sdp")]


def test_only_once(ksr: FakeKSR) -> None:
    """A callee that refuses plain RTP too has refused the call."""
    edge = edge_of(CORE)
    refused(ksr, edge)
    edge.ksr_failure(None)
    assert len(ksr.called("tm.t_relay")) == 1
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


@pytest.mark.parametrize("mode", ["mandatory", "forbidden"])
def test_no_other_policy_is_tried_again(ksr: FakeKSR, mode: str) -> None:
    """H01, C3: a mandatory trunk never gets plain RTP; H03: with forbidden there was nothing to leave out."""
    refused(ksr, edge_of(Trunk("core", CORE.match, outbound=MediaPolicy(mode))))
    assert not offers(ksr)
    assert not ksr.called("tm.t_relay")
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


@pytest.mark.parametrize("status", [404, 480, 486, 487, 503, 603])
def test_no_other_refusal_is_about_the_offer(ksr: FakeKSR, status: int) -> None:
    refused(ksr, edge_of(CORE), status)
    assert not ksr.called("tm.t_relay")


def test_not_after_cancel(ksr: FakeKSR) -> None:
    """A 488 that crosses the CANCEL does not ring the callee again."""
    ksr.answers["tm.t_is_canceled"] = 1
    refused(ksr, edge_of(CORE))
    assert not ksr.called("tm.t_relay")
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


def test_not_when_the_first_offer_was_plain_already(ksr: FakeKSR) -> None:
    """C07: optional over cleartext signalling was offered without keys."""
    refused(ksr, edge_of(CORE, sdes_requires_tls=True))
    assert not ksr.called("tm.t_relay")


def test_not_when_the_gateway_does_not_take_the_second_offer(ksr: FakeKSR) -> None:
    """Fail closed: the callee's refusal goes to the caller, nothing stays behind."""
    edge = edge_of(CORE)
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    ksr.calls.clear()
    ksr.answers["rtpengine.rtpengine_offer"] = -1
    ksr.variables["$T_reply_code"] = 488
    edge.ksr_failure(None)
    assert not ksr.called("tm.t_relay")
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


def test_the_offer_of_another_call_is_never_sent(ksr: FakeKSR) -> None:
    """The variable that holds the gateway's SDP is one per process: an INVITE without an offer takes none of it."""
    edge = edge_of(CORE)
    arrive(ksr, "INVITE", sdp=PLAIN)
    edge.ksr_request_route(None)
    arrive(ksr, "INVITE")
    edge.ksr_request_route(None)
    ksr.calls.clear()
    edge.ksr_branch(None)
    assert not ksr.called("textops.set_body")


def test_a_reinvite_is_not_tried_again(ksr: FakeKSR) -> None:
    """RFC 3261 section 14.1: the session stays as it was."""
    edge = edge_of(CORE)
    arrive(ksr, "INVITE", sdp=PLAIN, in_dialog=True)
    ksr.variables |= {"$dlg_var(caller)": "phones", "$dlg_var(callee)": "core", "$ru": "sip:10.2.0.2"}
    ksr.answers["rr.is_direction"] = -1
    edge.ksr_request_route(None)
    assert len(offers(ksr)) == 1
    assert not ksr.variables["$avp(fallback)"]


def test_a_call_that_came_secured_never_goes_on_plain(ksr: FakeKSR) -> None:
    """H12, C3: the optional callee is bound to SRTP by the caller's trunk; its refusal is the call's."""
    caller = replace(PHONES, destination="sip:10.2.0.2;transport=tls", secure_in=("AES_CM_128_HMAC_SHA1_80",))
    script = importlib.import_module("appliance.sip_edge.ksr.script")
    edge = script.Kamailio(RoutingTable((caller, CORE)))
    arrive(ksr, "INVITE", sdp=SECURE)
    ksr.variables |= {"$proto": "tls", "$T_reply_code": 488}
    edge.ksr_request_route(None)
    edge.ksr_failure(None)
    assert len(ksr.called("tm.t_relay")) == 1
    assert len(ksr.called("rtpengine.rtpengine_delete")) == 1


def test_what_may_follow() -> None:
    assert fallback.possible(CORE, "transport-protocol=RTP/SAVP")
    assert not fallback.possible(CORE, "transport-protocol=RTP/AVP SDES-off")
    assert fallback.plain(CORE).outbound == MediaPolicy("forbidden")
    assert fallback.plain(CORE).flags == ("SDES-nopad",)
