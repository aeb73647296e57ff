"""Issue 2, "Show": an RTP phone talks to an SRTP phone through the whole gateway, in three network namespaces."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest

from appliance.protocols.srtp import suites
from appliance.sip_edge import kamailio, sipp
from tests.system import lab as labs
from tests.system.calls import SCENARIOS, Call
from tests.system.gateway import Gateway
from tests.system.talk import Talk

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

# Row B18, the reference's order, with the 16-octet GCM suites before their 8-octet forms.
B18 = (
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AEAD_AES_256_GCM_8",
    "AEAD_AES_128_GCM_8",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_192_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_256_CM_HMAC_SHA1_32",
    "AES_192_CM_HMAC_SHA1_32",
    "AES_CM_128_HMAC_SHA1_32",
)
OFFERED = (*B18, *(suite.name for suite in suites.SUITES if suite.cipher == "AES_F8"))
NOTHING = {"calls": 0, "flows": 0, "cryptos": 0, "ports": 0}
PACKETS, INTERVAL_US = 1000, 2_000


@pytest.fixture(scope="module")
def gateway(laboratory: labs.Lab, sip_programs: None) -> Iterator[Gateway]:
    running = Gateway(laboratory, extra="allow_gcm_8 = true").start()
    yield running
    assert "Traceback" not in running.log("sip") + running.log("control") + running.log("media")


def assert_freed(gateway: Gateway) -> None:
    """BYE frees everything: the call, its flows and contexts in the arena, its ports."""
    limit = time.monotonic() + 20
    while gateway.used() != NOTHING and time.monotonic() < limit:
        time.sleep(0.2)
    assert gateway.used() == NOTHING


def resident(gateway: Gateway) -> int:
    """Resident octets of the control process."""
    pid = gateway.child("appliance.gateway")
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("suite", OFFERED)
def test_the_callee_answers_each_suite_in_turn(gateway: Gateway, suite: str) -> None:
    """I01, B01-B16, A24: RTP/AVP in, RTP/SAVP with the suites of B18 in order out; 1,000 packets each way arrive with
    payload and header as sent, RTCP is bridged, BYE frees everything."""
    call = Call(gateway.lab, suite, length_ms=5000).start().wait_answered()
    offer = call.invite_at_callee().body
    assert re.search(r"^m=audio \d+ RTP/SAVP 106 9 3 111 0 8 97 110 112 98 101 100 99 102\s*$", offer, re.MULTILINE)
    lines = re.findall(r"^a=crypto:(\d+) (\S+) inline:", offer, re.MULTILINE)
    assert [name for _, name in lines if name in B18] == list(B18)
    assert [tag for tag, _ in lines] == [str(tag) for tag in range(1, len(lines) + 1)]
    assert "AES_CM_128_NULL_AUTH" not in offer
    assert gateway.used()["calls"] == 1
    with Talk(call) as talk:
        talk.run(10, PACKETS, INTERVAL_US).assert_flawless(PACKETS)
    call.finish()
    assert_freed(gateway)


def test_nothing_of_the_caller_shows_at_the_callee(gateway: Gateway) -> None:
    """I05, K04: with our own gateway in place of rtpengine, the same Kamailio configuration."""
    call = Call(gateway.lab, length_ms=100).place_call()
    there = call.invite_at_callee()
    assert labs.ADDRESS["access"] not in there.text
    assert labs.GATEWAY["access"] not in there.body
    assert "Z 5.2.28" not in there.text
    assert labs.ADDRESS["core"] not in call.answer_at_caller().text
    assert "crypto" not in call.answer_at_caller().body


@pytest.mark.parametrize(
    ("caller", "callee"), [("caller_reinvites", "callee_reinvited"), ("caller_reinvited", "callee_reinvites")]
)
def test_either_side_may_offer_again(gateway: Gateway, caller: str, callee: str) -> None:
    """Issue 2, 7: re-INVITE; media flows after it, and BYE frees everything."""
    call = Call(
        gateway.lab, "AES_256_CM_HMAC_SHA1_80", SCENARIOS / f"{caller}.xml", SCENARIOS / f"{callee}.xml", length_ms=4000
    )
    call.start().wait_answered()
    time.sleep(1.0)
    with Talk(call) as talk:
        talk.run(5, 300, INTERVAL_US).assert_flawless(300)
    call.finish()
    assert_freed(gateway)


def test_cancel_frees_everything(gateway: Gateway) -> None:
    """Issue 2, 7: CANCEL while it rings."""
    call = Call(
        gateway.lab, caller=SCENARIOS / "caller_cancels.xml", callee=SCENARIOS / "callee_rings.xml"
    ).place_call()
    assert sipp.find(call.at_caller(), "SIP/2.0 487", sent=False)
    assert_freed(gateway)


def test_killed_control_adopts_the_call(gateway: Gateway) -> None:
    """Issue 2, 2: kill -9 of control in mid-call; no packet is lost, a new control adopts the call, BYE works."""
    call = Call(gateway.lab, length_ms=12_000).start().wait_answered()
    before = gateway.child("appliance.gateway")
    with Talk(call) as talk:
        gateway.kill(before)
        talk.run(6, 1500, INTERVAL_US).assert_flawless(1500)
    labs.wait_for(lambda: gateway.child("appliance.gateway") != before, 10, "no new control process")
    labs.wait_for(lambda: answers(gateway), 15, "the new control does not answer")
    assert gateway.used()["calls"] == 1
    call.finish()
    assert_freed(gateway)


def test_killed_worker_is_replaced(gateway: Gateway) -> None:
    """Issue 2, 2: kill -9 of a worker; the holder replaces it and its call goes on with the next index."""
    call = Call(gateway.lab, length_ms=14_000).start().wait_answered()
    with Talk(call) as talk:
        talk.run(3, 300, INTERVAL_US).assert_flawless(300)
        worker = int(gateway.status()["workers"][0]["pid"])
        gateway.kill(worker)
        labs.wait_for(lambda: int(gateway.status()["workers"][0]["pid"]) not in (0, worker), 10, "no new worker")
        labs.wait_for(lambda: gateway.status()["workers"][0]["state"] == "run", 10, "the new worker does not run")
        talk.run(3, 300, INTERVAL_US).assert_flawless(300)
    call.finish()
    assert_freed(gateway)


def test_killed_kamailio_comes_back(gateway: Gateway) -> None:
    """DESIGN 2: kill -9 of the SIP edge in mid-call; media goes on, BYE works after its return, as does a new call."""
    call = Call(gateway.lab, length_ms=8000).start().wait_answered()
    before = gateway.child(kamailio.find("kamailio") or "kamailio")
    with Talk(call) as talk:
        gateway.kill(before)
        talk.run(4, 500, INTERVAL_US).assert_flawless(500)
    call.finish()
    assert_freed(gateway)
    Call(gateway.lab, length_ms=100).place_call()


def answers(gateway: Gateway) -> bool:
    try:
        return gateway.status()["workers"][0]["state"] == "run"
    except Exception:
        return False


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_calls_for_a_minute(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 2: 100 simultaneous calls, 60 s, no packet lost on veth; CPU per packet printed; memory comes back."""
    memory = resident(gateway)
    call = Call(gateway.lab, "AES_CM_128_HMAC_SHA1_80", calls=100, rate=20, length_ms=75_000, timeout_s=120).start()
    labs.wait_for(lambda: gateway.used()["calls"] == 100, 30, "not all of the calls came about")
    labs.wait_for(lambda: len(_acked(call)) == 100, 20, "not all of the calls were answered")
    before = gateway.counters()
    with Talk(call) as talk:
        heard = talk.run(60, settle_ms=1000)
    after = gateway.counters()
    packets = after["received"] - before["received"]
    with capsys.disabled():
        cost = (after["busy_ns"] - before["busy_ns"]) / packets / 1000
        print(f"\n100 calls, 60 s: {packets} packets, {cost:.2f} µs CPU each")
    assert sum(report.sent for report in (*heard.access, *heard.core)) >= 100 * 2 * 2990
    for here, there in ((heard.access, heard.core), (heard.core, heard.access)):
        assert [report.received for report in there] == [report.sent for report in here]
        assert not any(report.lost or report.corrupted or report.header_changed for report in there)
    call.finish()
    assert_freed(gateway)
    assert resident(gateway) - memory < 32 << 20


def _acked(call: Call) -> list[sipp.Message]:
    return [message for message in call.at_caller() if message.sent and message.start_line.startswith("ACK")]
