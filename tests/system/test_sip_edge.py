"""The SIP edge on the wire: Kamailio as rendered, in front of Debian's rtpengine (NG, userspace).

What holds here holds for our own gateway too, which is a drop-in for rtpengine: the same configuration, unchanged.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator

import pytest

from appliance.sip_edge import kamailio, sipp
from tests.system import edge as edges
from tests.system import lab as labs
from tests.system.calls import SCENARIOS, Call
from tests.system.edge import exchange, request

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
SUITES = ("AES_256_CM_HMAC_SHA1_80", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


@pytest.fixture(scope="module")
def edge(laboratory: labs.Lab, sip_programs: None) -> Iterator[edges.Edge]:
    if not shutil.which("rtpengine"):
        pytest.skip("not installed: rtpengine-daemon")
    interfaces = [f"--interface={side}/{labs.GATEWAY[side]}" for side in ("access", "core")]
    laboratory.start(
        "gateway",
        [
            "rtpengine",
            "--table=-1",
            *interfaces,
            f"--listen-ng={edges.NG[0]}:{edges.NG[1]}",
            "--port-min=25600",
            "--port-max=25999",
            "--delete-delay=0",
            "--foreground",
            "--log-stderr",
        ],
        "rtpengine.log",
    )
    labs.wait_for(lambda: _pings(), 10, "rtpengine does not start")
    config = edges.edge_config(laboratory.directory / "sip", SUITES)
    kamailio.prepare(config)
    kamailio.check(config)
    running = edges.Edge(laboratory, config)
    running.start()
    yield running
    assert "Traceback" not in running.log()


def _pings() -> bool:
    try:
        return edges.ng("ping")["result"] == "pong"
    except OSError:
        return False


@pytest.fixture(scope="module")
def call(edge: edges.Edge) -> Call:
    """One whole call, shared by the tests that only look at it."""
    return Call(edge.lab, SUITES[0]).place_call()


def test_a_plain_call_leaves_as_srtp(call: Call) -> None:
    """I01, I04: the Zoiper INVITE in as RTP/AVP, out as RTP/SAVP with crypto lines, tags 1..n.

    Debian's rtpengine 10.5 knows neither `SDES-only-` nor `SDES-order:`, so here the list is only contained in the
    offer; that it is exactly the offer is asked of our own gateway."""
    offer = call.invite_at_callee().body
    assert re.findall(r"^m=audio \d+ (\S+) (.*)$", offer, re.MULTILINE) == [
        ("RTP/SAVP", "106 9 3 111 0 8 97 110 112 98 101 100 99 102")
    ]
    lines = re.findall(r"^a=crypto:(\d+) (\S+) inline:", offer, re.MULTILINE)
    assert [tag for tag, _ in lines] == [str(tag) for tag in range(1, len(lines) + 1)]
    assert {suite for _, suite in lines} >= set(SUITES)


def test_the_caller_gets_plain_rtp_back(call: Call) -> None:
    """A24: the answer towards A is RTP/AVP, at an address of ours, without a key."""
    answer = call.answer_at_caller().body
    assert re.search(r"^m=audio \d+ RTP/AVP ", answer, re.MULTILINE)
    assert f"c=IN IP4 {labs.GATEWAY['access']}" in answer
    assert "a=crypto" not in answer


def test_100_comes_at_once_with_rport_and_received(call: Call) -> None:
    """I03: the Via of 100 Trying says where the request came from."""
    trying = sipp.find(call.at_caller(), "SIP/2.0 100", sent=False)
    assert trying is not None
    via = trying.header("Via")
    assert "rport=5060" in via
    assert f"received={labs.ADDRESS['access']}" in via


def test_nothing_of_the_caller_shows_at_the_callee(call: Call) -> None:
    """I05, P02, K04: no Via, Contact, Record-Route, Call-ID, User-Agent or SDP address of A; Max-Forwards 70 -> 69."""
    there, here = call.invite_at_callee(), sipp.find(call.at_caller(), "INVITE", sent=True)
    assert here is not None
    assert there.header("Call-ID") != here.header("Call-ID")
    assert there.header("Max-Forwards") == "69"
    assert "Z 5.2.28" not in there.text
    assert labs.ADDRESS["access"] not in there.text
    assert labs.GATEWAY["access"] not in there.body


def test_nothing_of_the_callee_shows_at_the_caller(call: Call) -> None:
    """K04, P01, P07, the other way round: Contact, Server, SDP address."""
    answer = call.answer_at_caller()
    assert labs.ADDRESS["core"] not in answer.text
    assert answer.header("Server") != "a callee's software"


def test_no_message_of_the_call_names_the_other_side(call: Call) -> None:
    """K04: INVITE, ACK, BYE and every reply, both ways: neither its address nor its own Call-ID or Via."""
    here, there = call.at_caller(), call.at_callee()
    for messages, others, role in ((there, here, "access"), (here, there, "core")):
        arrived = [message.text for message in messages if not message.sent]
        assert len(arrived) >= 3
        assert not [text for text in arrived if labs.ADDRESS[role] in text]
        assert not [text for text in arrived if others[0].header("Call-ID") in text]


def test_requests_in_the_dialog_find_their_way(call: Call) -> None:
    """K04: ACK and BYE arrive at the callee through the hidden route."""
    starts = [message.start_line.split()[0] for message in call.at_callee() if not message.sent]
    assert starts == ["INVITE", "ACK", "BYE"]


def test_every_state_of_the_call_is_told(edge: edges.Edge, call: Call) -> None:
    """I02: with the Call-ID that the caller knows."""
    known = call.at_caller()[0].header("Call-ID")
    told = [event["state"] for event in edge.events("sip_call") if event["call_id"] == known]
    assert list(dict.fromkeys(told)) == ["NEW", "INIT", "ROUTING", "RINGING", "ANSWERED", "HANGUP"]


def test_media_is_gone_after_bye(call: Call) -> None:
    """Issue 2, 7: BYE deletes the call at the media gateway."""
    labs.wait_for(lambda: edges.calls_up() == 0, 10, "the call is still there after BYE")


@pytest.mark.parametrize("suite", SUITES)
def test_the_callee_may_answer_any_offered_suite(edge: edges.Edge, suite: str) -> None:
    """C02, B19: the answer's tag and suite are taken, whichever it is."""
    done = Call(edge.lab, suite, length_ms=100).place_call()
    assert "RTP/AVP" in done.answer_at_caller().body


def test_cancel_frees_the_media(edge: edges.Edge) -> None:
    """Issue 2, 7: CANCEL reaches the callee, the caller gets 487, nothing is left."""
    done = Call(edge.lab, caller=SCENARIOS / "caller_cancels.xml", callee=SCENARIOS / "callee_rings.xml").place_call()
    assert sipp.find(done.at_caller(), "SIP/2.0 487", sent=False)
    labs.wait_for(lambda: edges.calls_up() == 0, 10, "the call is still there after CANCEL")


def test_the_caller_may_offer_again(edge: edges.Edge) -> None:
    """Issue 2, 7: re-INVITE from A is bridged like the first offer."""
    done = Call(
        edge.lab, SUITES[2], SCENARIOS / "caller_reinvites.xml", SCENARIOS / "callee_reinvited.xml"
    ).place_call()
    invites = [m for m in done.at_callee() if not m.sent and m.start_line.startswith("INVITE")]
    assert len(invites) >= 2
    assert all("RTP/SAVP" in invite.body for invite in invites)
    assert labs.ADDRESS["access"] not in invites[-1].text


def test_the_callee_may_offer_again(edge: edges.Edge) -> None:
    """Issue 2, 7: re-INVITE from B comes to A as plain RTP."""
    done = Call(
        edge.lab, SUITES[2], SCENARIOS / "caller_reinvited.xml", SCENARIOS / "callee_reinvites.xml"
    ).place_call()
    again = sipp.find(done.at_caller(), "INVITE", sent=False, body=True)
    assert again is not None
    assert re.search(r"^m=audio \d+ RTP/AVP ", again.body, re.MULTILINE)
    assert "a=crypto" not in again.body
    assert labs.ADDRESS["core"] not in again.text
    accepted = sipp.find([m for m in done.at_callee() if "CSeq: 1 INVITE" in m.text], "SIP/2.0 200", sent=False)
    assert accepted is not None
    assert "RTP/SAVP" in accepted.body


def test_options_is_answered(edge: edges.Edge) -> None:
    """I07: OPTIONS -> 200 with Allow."""
    reply = exchange("access", request("OPTIONS", "ping"))[0]
    assert reply.startswith("SIP/2.0 200")
    assert "Allow: INVITE" in reply


def test_an_unknown_method_is_refused_by_name(edge: edges.Edge) -> None:
    """I07: unknown method -> 405 with Allow."""
    reply = exchange("access", request("FROBNICATE", "x"))[0]
    assert reply.startswith("SIP/2.0 405")
    assert re.search(r"^Allow: .*INVITE.*BYE", reply, re.MULTILINE)


def test_a_stranger_gets_404(edge: edges.Edge) -> None:
    """No trunk matches the source: 404, nothing reaches the core, and one event says why."""
    labs._ip("-n", labs.name("access"), "address", "add", "10.77.1.99/24", "dev", "gw", check=False)
    reply = exchange("access", request("INVITE", "1234", source="10.77.1.99"), source="10.77.1.99")[0]
    assert reply.startswith("SIP/2.0 404")
    assert edge.events("sip_refused")[-1]["reason"] == "no_trunk"


@pytest.mark.parametrize(
    "sdp", ["v=0\r\n", "nonsense", "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nm=audio x RTP/AVP 0\r\n"]
)
def test_an_sdp_that_nobody_understands_is_refused(edge: edges.Edge, sdp: str) -> None:
    """488 when media negotiation fails; the callee hears nothing of it."""
    assert exchange("access", request("INVITE", "1234", sdp))[-1].startswith("SIP/2.0 488")


def test_too_many_hops(edge: edges.Edge) -> None:
    """RFC 3261 section 16.3: Max-Forwards 0 is answered 483."""
    message = request("INVITE", "1234").replace("Max-Forwards: 70", "Max-Forwards: 0")
    assert exchange("access", message)[-1].startswith("SIP/2.0 483")


def test_an_invite_of_2104_octets_is_taken_over_udp(call: Call) -> None:
    """I09: an INVITE as long as the reference's (2104 octets) arrives in fragments and the call comes about."""
    sent = call.at_caller()[0].text.replace("\n", "\r\n")
    missing = 2104 - len(sent) - len("Subject: \r\n")
    text = (sipp.SCENARIOS / "caller.xml").read_text()
    longer = call.lab.directory / "longer.xml"
    longer.write_text(text.replace("Allow-Events: presence", f"Subject: {'x' * missing}\nAllow-Events: presence"))
    done = Call(call.lab, SUITES[0], caller=longer, length_ms=100).place_call()
    assert abs(len(done.at_caller()[0].text.replace("\n", "\r\n")) - 2104) <= 4  # call ids differ in length
    assert "x" * missing in done.invite_at_callee().text


def test_a_killed_kamailio_comes_back_and_the_call_ends_in_order(edge: edges.Edge) -> None:
    """DESIGN 2, K04: kill -9 in mid-call; after a restart BYE is routed, media deleted, and a new call works."""
    call = Call(edge.lab, SUITES[0], length_ms=5000).start().wait_answered()
    os.killpg(edge.process.pid, signal.SIGKILL)
    edge.process.wait(5)
    assert edges.calls_up() == 1
    edge.start()
    call.finish()
    labs.wait_for(lambda: edges.calls_up() == 0, 10, "BYE after the restart did not delete the media")
    Call(edge.lab, SUITES[0], length_ms=100).place_call()
