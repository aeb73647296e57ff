"""Issue 6, "Show": headless Chromium with JsSIP over WSS, desk phones (baresip) on RTP and on SRTP with SDES keys.

The browser's microphone and the phone play noise that nobody else makes; each side's recording is compared with what
the other one played. The browser verifies the edge's certificate; the edge asks for the user's password.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.system import lab as labs
from tests.system import wire
from tests.system.certificates import Authority
from tests.system.gateway import Gateway
from tests.system.sound import RATE, Likeness, Sound, compare
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import chromium, rig
from tests.system.webrtc.chromium import Chromium
from tests.system.webrtc.rig import DeskPhone

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TALK_S = 10
PACKETS = 50 * TALK_S
HANDSHAKES = 8
SHORT = RATE // 4  # samples: 0.25 s


def assert_heard(likeness: Likeness) -> None:
    """Nearly all of the call, as it was played: the rest is the pieces at both ends, or where a jitter buffer slipped.
    (A browser's microphone is resampled twice, which costs it the highest tones.)"""
    assert likeness.found >= TALK_S * 0.7, likeness
    assert likeness.correlation > 0.98, likeness
    assert 0.85 < likeness.level < 1.1, likeness


def assert_hears(browser: Chromium, played: Sound, seconds: float) -> None:
    """So much of it within a minute. Two browsers that share a busy machine stutter: what their microphones and jitter
    buffers do to sound is theirs, so short pieces are looked for. Each is compared once, and not at every turn: looking
    costs the browsers their processor."""
    rest: Sound = np.zeros(0)
    found = 0.0

    def enough() -> bool:
        nonlocal rest, found
        time.sleep(1)
        heard = np.concatenate([rest, browser.heard()])
        whole = len(heard) // SHORT * SHORT
        found += compare(played, heard[: whole + 1], SHORT).found
        rest = heard[whole:]
        return found >= seconds

    labs.wait_for(enough, 60, lambda: f"{found} s of {seconds}; {browser.story()}")


def assert_media(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What getStats says of TALK_S seconds: every packet came, none was lost, and there was sound in them."""
    came, went = ({key: after[kind][key] - before.get(kind, {}).get(key, 0) for key in keys} for kind, keys in (
        ("inbound-rtp", ("packetsReceived", "packetsLost", "totalAudioEnergy", "packetsDiscarded")),
        ("outbound-rtp", ("packetsSent",)),
    ))  # fmt: skip
    assert came["packetsReceived"] >= PACKETS * 0.95, came
    assert came["packetsLost"] == 0, came
    assert came["totalAudioEnergy"] > 0.01, came
    assert went["packetsSent"] >= PACKETS * 0.95, went
    assert_reports(after)
    assert after["transport"]["dtlsState"] == "connected"
    assert after["transport"]["srtpCipher"]


def certificate_of(browser: Chromium) -> str:
    """Of the gateway; Chromium's statistics know it a little later than its media does."""
    found = labs.wait_for(lambda: browser.statistics()["transport"].get("remoteCertificateId"), 10, browser.story)
    return str(found)


def assert_reports(after: dict[str, Any]) -> None:
    """RTCP came through both ways, about the streams that each side knows (G02): the phone, which speaks AVP, reports
    on what the browser sends under the browser's own SSRC, and its sender reports belong to what the browser hears."""
    report, heard = after["remote-inbound-rtp"], after["remote-outbound-rtp"]
    assert report["ssrc"] == after["outbound-rtp"]["ssrc"] and heard["ssrc"] == after["inbound-rtp"]["ssrc"]
    assert report["packetsLost"] == 0 and report["fractionLost"] == 0, report
    assert 0 <= report["jitter"] < 1, report
    assert heard["packetsSent"] > 0 and heard["reportsSent"] > 0, heard


def talk(browser: Chromium) -> dict[str, Any]:
    """From now on, for TALK_S: heard and counted; the statistics at the end."""
    browser.wait("confirmed")
    browser.wait("listening")
    before = browser.statistics()
    browser.heard()
    time.sleep(TALK_S)
    after = browser.statistics()
    assert "inbound-rtp" in after, browser.story()
    assert_media(before, after)
    return after


def assert_webrtc(sdp: str) -> None:
    """What the gateway writes to a browser: DTLS-SRTP with ICE on one port, no key (D04, D06, DTLS-18, G20, G23)."""
    assert re.search(r"^m=audio \d+ UDP/TLS/RTP/SAVPF ", sdp, re.MULTILINE)
    for line in ("fingerprint:sha-256 ", "setup:", "ice-ufrag:", "ice-pwd:", "candidate:", "rtcp-mux", "mid:"):
        assert f"a={line}" in sdp, line
    assert "a=crypto" not in sdp
    assert labs.ADDRESS["core"] not in sdp and rig.SECURE not in sdp


@pytest.mark.row("D06", "G06", "I09")
def test_a_browser_calls_a_desk_phone(gateway: Gateway, browser: Chromium) -> None:
    """WSS, DTLS-SRTP and ICE from the browser; UDP and RTP to the phone. The speech is on the phone's wire, and not on
    the browser's."""
    phone = DeskPhone(gateway.lab, 2).start(TALK_S + 30)
    wires = {role: wire.Wire(gateway.lab, role) for role in ("access", "core")}
    browser.call(rig.PHONE)
    statistics = talk(browser)
    heard = browser.heard()
    browser.hang_up()
    phone.ended()
    for one in wires.values():
        one.stop()
    assert_heard(compare(phone.played, heard))
    assert_heard(compare(browser.played, phone.heard()))
    assert phone.suite() == ""
    assert statistics["transport"]["iceRole"] == "controlling"
    assert statistics["transport"]["dtlsRole"] == "server"  # D02: actpass is answered with active
    assert_webrtc(browser.events("sdp_remote_answer")[0])
    assert "a=ice-lite" in browser.events("sdp_remote_answer")[0]
    for role, found in (("core", TALK_S * 0.7), ("access", 0)):
        payloads = wires[role].payloads(labs.GATEWAY[role])
        assert len(payloads) >= PACKETS * 0.95
        speech = phone.played if role == "access" else browser.played
        assert compare(speech, wire.pcmu(payloads)).found >= found
        assert found or compare(speech, wire.pcmu(payloads)).found == 0
    assert_freed(gateway)


@pytest.mark.row("D06", "G06", "I09")
def test_a_desk_phone_calls_a_browser(gateway: Gateway, browser: Chromium) -> None:
    """The reverse: the registrar finds the browser, whose Contact nobody could look up, in its session; the gateway
    offers DTLS-SRTP, ICE and rtcp-mux because it registered over WebSocket."""
    phone = DeskPhone(gateway.lab, 3).start(60, dials=True)
    transport = talk(browser)["transport"]
    heard = browser.heard()
    phone.hang_up()
    assert browser.wait("ended") == "remote Terminated"
    assert_heard(compare(phone.played, heard))
    assert_heard(compare(browser.played, phone.heard()))
    assert_webrtc(browser.events("sdp_remote_offer")[0])
    assert "a=setup:actpass" in browser.events("sdp_remote_offer")[0]  # D02
    assert (transport["dtlsRole"], transport["srtpCipher"]) == ("client", "SRTP_AEAD_AES_256_GCM")  # D08: we choose
    assert_freed(gateway)


@pytest.mark.row("D06", "G03", "H01")
def test_a_browser_calls_a_phone_with_sdes(gateway: Gateway, browser: Chromium, authority: Authority) -> None:
    """DTLS-SRTP on one leg, SDES over TLS on the other: other keys and suites, the same speech. The gateway is a full
    ICE agent here, where it is a lite one in the other calls."""
    phone = DeskPhone(gateway.lab, 4, authority).start(TALK_S + 30)
    browser.call(rig.SECURE_PHONE)
    talk(browser)
    heard = browser.heard()
    browser.hang_up()
    phone.ended()
    assert "a=ice-lite" not in browser.events("sdp_remote_answer")[0]
    assert phone.suite() == "AES_CM_128_HMAC_SHA1_80"
    assert_heard(compare(phone.played, heard))
    assert_heard(compare(browser.played, phone.heard()))
    assert_freed(gateway)


@pytest.mark.row("D06", "G03", "H01")
def test_a_phone_with_sdes_calls_a_browser(gateway: Gateway, browser: Chromium, authority: Authority) -> None:
    """RTP/SAVP with keys in its SDP comes over TLS; DTLS-SRTP and ICE go to the browser, and none of the phone's keys.
    The answer is in the phone's own suite, under keys of ours."""
    phone = DeskPhone(gateway.lab, 8, authority).start(60, dials=True)
    wires = {role: wire.Wire(gateway.lab, role) for role in ("access", "core")}
    transport = talk(browser)["transport"]
    heard = browser.heard()
    phone.hang_up()
    assert browser.wait("ended") == "remote Terminated"
    for one in wires.values():
        one.stop()
    assert_heard(compare(phone.played, heard))
    assert_heard(compare(browser.played, phone.heard()))
    assert_webrtc(browser.events("sdp_remote_offer")[0])
    assert phone.suite() == "AES_CM_128_HMAC_SHA1_80"
    assert transport["srtpCipher"] != phone.suite()
    for role, speech in (("core", browser.played), ("access", phone.played)):  # nobody reads it on either wire
        payloads = wires[role].payloads(labs.GATEWAY[role])
        assert len(payloads) >= PACKETS * 0.95
        assert compare(speech, wire.pcmu(payloads)).found == 0
    assert_freed(gateway)


@pytest.mark.row("D12", "G20", "G29")
def test_a_browser_holds_and_restarts_ice(gateway: Gateway, browser: Chromium) -> None:
    """Re-INVITEs of the browser: hold, unhold, new ICE credentials. Media stops and goes on, both ways, under the keys
    of the first handshake."""
    phone = DeskPhone(gateway.lab, 5).start(60)
    browser.call(rig.PHONE)
    browser.wait("listening")
    flows(browser)
    certificate = certificate_of(browser)
    assert browser.run("again('hold')")
    assert "a=sendonly" in browser.events("sdp_local_offer")[-1]
    sent = browser.statistics()["outbound-rtp"]["packetsSent"]
    assert browser.run("again('unhold')")
    flows(browser, beyond=sent)
    assert browser.run("again('restart')")
    first, *_, last = (re.search(r"a=ice-ufrag:(\S+)", one)[1] for one in browser.events("sdp_remote_answer"))  # type: ignore[index]
    assert first != last
    flows(browser)
    assert certificate_of(browser) == certificate
    assert browser.statistics()["transport"]["dtlsState"] == "connected"
    to_phone = wire.Wire(gateway.lab, "core")
    browser.heard()
    assert_hears(browser, phone.played, 2)
    to_phone.stop()
    assert compare(browser.played, wire.pcmu(to_phone.payloads(labs.GATEWAY["core"]))).found >= 1
    browser.hang_up()
    phone.ended()
    assert_freed(gateway)


@pytest.mark.row("D06", "D09")
def test_control_is_killed_while_a_browser_talks(gateway: Gateway, browser: Chromium) -> None:
    """kill -9 with the call up: media and consent go on, keys and ICE are taken over, BYE still frees everything."""
    phone = DeskPhone(gateway.lab, 6).start(60)
    browser.call(rig.PHONE)
    browser.wait("listening")
    flows(browser)
    before = browser.statistics()["inbound-rtp"]
    gateway.kill(gateway.child("appliance.gateway"))
    time.sleep(6)  # Chromium checks consent every 5 s
    after = browser.statistics()["inbound-rtp"]
    assert after["packetsReceived"] - before["packetsReceived"] >= 6 * 50 * 0.95
    assert after["packetsLost"] == before["packetsLost"]
    labs.wait_for(lambda: gateway.used()["calls"] == 1, 10, "the call is not taken over")
    assert browser.run("session.connection.connectionState") == "connected"
    browser.hang_up()
    phone.ended()
    assert_freed(gateway)


@pytest.mark.row("D06", "G06", "G13", "G15")
def test_a_browser_calls_a_browser(gateway: Gateway, browser: Chromium, authority: Authority) -> None:
    """WebRTC on both legs, which know nothing of each other: two handshakes, two ICE sessions, and Opus through both.
    The caller hides its addresses (RFC 8828: candidates are .local names), which ICE does without."""
    with chromium.browser(gateway.lab, "access", 7, authority) as other:
        rig.register(other, rig.OTHER_USER)
        browser.run("hidden = true")
        browser.call(rig.OTHER_BROWSER)
        for one in (browser, other):
            one.wait("listening")
            flows(one)
            one.heard()
        browser.run("hidden = false")
        for one, played in ((browser, other.played), (other, browser.played)):
            assert_hears(one, played, 2)
        offer, sent = other.events("sdp_remote_offer")[0], browser.events("sdp_local_offer")[0]
        prints = {certificate_of(one) for one in (browser, other)}
        browser.hang_up()
        assert other.wait("ended") == "remote Terminated"
    assert ".local" in sent and ".local" not in offer
    assert_webrtc(offer)
    for name in ("ice-ufrag", "fingerprint"):  # nothing of one leg is seen on the other
        assert re.search(rf"^a={name}:(.*)$", sent, re.M)[1] not in offer  # type: ignore[index]
    assert len(prints) == 2  # a certificate for each leg
    assert_freed(gateway)


@pytest.fixture
def losing(gateway: Gateway) -> Iterator[None]:
    """30 % of the browser's datagrams are lost, either way; on its side: the gateway's XDP comes before any filter."""
    if not shutil.which("iptables"):
        pytest.skip("not installed: iptables")
    chains = {"INPUT": "-i", "OUTPUT": "-o"}
    rule = ["gw", "-p", "udp", "-m", "statistic", "--mode", "random", "--probability", "0.3", "-j", "DROP"]
    for chain, way in chains.items():
        _iptables("-A", chain, way, *rule)
    yield
    for chain, way in chains.items():
        lost = re.search(r"^ *(\d+).*DROP", _iptables("-L", chain, "-n", "-v", "-x"), re.M)
        _iptables("-D", chain, way, *rule)
        assert lost and int(lost[1]) > 5 * HANDSHAKES, lost


def _iptables(*words: str) -> str:
    command = ["ip", "netns", "exec", labs.name("access"), "iptables", "-w", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


@pytest.mark.row("D11")
def test_handshakes_through_loss(gateway: Gateway, browser: Chromium, losing: None) -> None:
    """ICE and DTLS with the browser's own timers and ours: every call gets its keys. By doubling timers one handshake
    of some hundreds is not done after 30 s, when both sides give up: there may be one."""
    unlucky: list[str] = []
    for number in range(HANDSHAKES):
        phone = DeskPhone(gateway.lab, 100 + number).start(60)
        browser.run("events.length = 0")
        browser.call(rig.PHONE)
        browser.wait("confirmed")
        try:
            flows(browser, patience=30)
        except AssertionError as late:
            unlucky.append(str(late))
            assert len(unlucky) == 1, unlucky
        browser.run("session.isEnded() || session.terminate()")
        phone.ended()
    assert_freed(gateway)


def flows(browser: Chromium, beyond: int = 0, patience: float = 5) -> None:
    """Packets come and go now."""
    def counts() -> tuple[int, int]:
        seen = browser.statistics()
        kinds = {"inbound-rtp": "packetsReceived", "outbound-rtp": "packetsSent"}
        came, went = (seen.get(kind, {}).get(name, 0) for kind, name in kinds.items())
        return came, went

    came, went = counts()
    labs.wait_for(lambda: all(now > then + 25 for now, then in zip(counts(), (came, max(went, beyond)), strict=True)),
                  patience, browser.story)  # fmt: skip
