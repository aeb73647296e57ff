"""What people do in a call besides talking, with a browser at one end: refuse, give up, dial digits, hold, transfer,
add video, have two pages open, close the page. The other end is a phone that says what the test wants it to say.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import pytest

from tests.system import lab as labs
from tests.system import wire
from tests.system.certificates import Authority
from tests.system.gateway import Gateway
from tests.system.parties import Call, Dialog, Message, Party, dialog_of
from tests.system.test_first_call import assert_freed
from tests.system.webrtc import chromium, rig
from tests.system.webrtc.chromium import Chromium

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

CORE, RTP, EVENTS = labs.ADDRESS["core"], 41000, 101
MEDIA = (
    "m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
    "a={way}\r\n"
)
VIDEO = "m=video {port} RTP/AVP {type}\r\na=rtpmap:{type} VP8/90000\r\n"
ADD_VIDEO = """(() => {
    const canvas = document.createElement("canvas"), paint = canvas.getContext("2d");
    setInterval(() => paint.fillRect(Math.random() * 90, 0, 9, 9), 50);
    const stream = canvas.captureStream(10);
    session.connection.addTrack(stream.getVideoTracks()[0], stream);
    session.renegotiate({}, () => note("renegotiated"));
})()"""
VIDEO_SENT = """(async () => [...(await session.connection.getStats()).values()]
    .filter((one) => one.type == "outbound-rtp" && one.kind == "video").map((one) => one.packetsSent)[0] || 0)()"""
HEAR_REFERS = """void session.on("refer", (e) =>
    e.accept((made) => take(made, "local"), {mediaConstraints: {audio: MICROPHONE}}))"""


def sdp(version: int = 1, way: str = "sendrecv", port: int = RTP, more: str = "") -> str:
    head = f"v=0\r\no=phone 1 {version} IN IP4 {CORE}\r\ns=-\r\nc=IN IP4 {CORE}\r\nt=0 0\r\n"
    return head + MEDIA.format(port=port, way=way) + more


@pytest.fixture
def phone(gateway: Gateway) -> Iterator[Party]:
    party = labs.inside("core", lambda: Party(CORE, 5060, (labs.GATEWAY["core"], 5060)))
    yield party
    party.close()


def answered(browser: Chromium, phone: Party, target: str = rig.PHONE, port: int = RTP) -> tuple[Message, Dialog]:
    """A call of the browser; the INVITE and the phone's dialog."""
    browser.run("events.length = 0")
    browser.call(target)
    invite = phone.hears("INVITE")
    ok = phone.answer(invite, 200, body=sdp(port=port))
    phone.hears("ACK")
    browser.wait("confirmed")
    return invite, dialog_of(invite, ok)


def hangs_up(browser: Chromium, phone: Party, gateway: Gateway) -> None:
    browser.hang_up()
    phone.answer(phone.hears("BYE"), 200)
    assert_freed(gateway)


def calls(phone: Party) -> Call:
    """The browser's user, at the gateway's address, as a PBX calls."""
    call = Call(phone, rig.USER, f"{time.monotonic_ns()}@{CORE}", "INVITE")
    phone.send(phone.request("INVITE", call.uri, call.sender, call.to, call.call_id, 1, body=sdp(), branch=call.branch))
    return call


@pytest.mark.row("I09", "G06")
def test_busy_and_given_up(gateway: Gateway, browser: Chromium, phone: Party) -> None:
    browser.call(rig.PHONE)
    phone.answer(phone.hears("INVITE"), 486)
    assert browser.wait("failed") == "Busy"
    browser.run("events.length = 0")
    browser.call(rig.PHONE)
    invite = phone.hears("INVITE")
    phone.answer(invite, 180, tag="early")
    labs.wait_for(lambda: browser.run("session.isInProgress()"), 5, browser.story)
    browser.hang_up()
    phone.answer(phone.hears("CANCEL"), 200, contact=False)
    phone.answer(invite, 487, tag="early")
    assert browser.wait("failed") == "Canceled"
    assert_freed(gateway)


@pytest.mark.row("I09", "H01")
def test_digits(gateway: Gateway, browser: Chromium, phone: Party) -> None:
    """RFC 4733 events under each side's own payload type, INFO both ways."""
    invite, dialog = answered(browser, phone)
    theirs = re.search(r"a=rtpmap:(\d+) telephone-event/8000", invite.body)
    assert theirs and int(theirs[1]) != EVENTS
    core = wire.Wire(gateway.lab, "core")
    browser.run("session.sendDTMF('7', {transportType: 'RFC2833', duration: 100})")
    browser.run("session.sendDTMF('5', {transportType: 'INFO'})")
    info = phone.hears("INFO")
    phone.answer(info, 200)
    assert info["Content-Type"] == "application/dtmf-relay" and info.body.startswith("Signal=5")
    browser.run("void session.on('newDTMF', (e) => note('digit', `${e.originator} ${e.dtmf.tone}`))")
    phone.within(dialog, "INFO", body="Signal=3\r\nDuration=160\r\n", kind="application/dtmf-relay")
    phone.hears(200)
    assert browser.wait("digit") == "remote 3"
    labs.wait_for(lambda: EVENTS in core.types(labs.GATEWAY["core"]), 10, "no telephone-event")
    core.stop()
    assert set(core.types(labs.GATEWAY["core"])) == {wire.PCMU, EVENTS}
    hangs_up(browser, phone, gateway)


@pytest.mark.row("I09", "G20")
def test_a_phone_holds(gateway: Gateway, browser: Chromium, phone: Party) -> None:
    _, dialog = answered(browser, phone)
    for version, (asked, told, came) in enumerate((("sendonly", "sendonly", "recvonly"),
                                                   ("sendrecv", "sendrecv", "sendrecv")), 2):  # fmt: skip
        phone.within(dialog, "INVITE", body=sdp(version, asked))
        assert f"a={came}" in phone.hears(200).body
        phone.within(dialog, "ACK", number=dialog.number)
        assert f"a={told}" in browser.events("sdp_remote_offer")[-1]
    hangs_up(browser, phone, gateway)


@pytest.mark.row("G06", "G23")
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "refused"])
def test_video_is_added(gateway: Gateway, browser: Chromium, phone: Party, taken: bool) -> None:
    """A re-INVITE with a second stream, bundled at the browser, on ports of its own at the phone."""
    answered(browser, phone)
    browser.run(ADD_VIDEO)
    offer = phone.hears("INVITE")
    line = re.search(r"^m=video (\d+) RTP/AVP (\d+) ", offer.body, re.M)
    audio = re.search(r"^m=audio (\d+) ", offer.body, re.M)
    assert line and audio and line[1] != audio[1] and "UDP/TLS" not in offer.body
    more = VIDEO.format(port=RTP + 10 if taken else 0, type=line[2])
    phone.answer(offer, 200, body=sdp(2, more=more))
    phone.hears("ACK")
    browser.wait("renegotiated")
    if taken:
        labs.wait_for(lambda: browser.run(VIDEO_SENT) > 5, 10, browser.story)
        assert "a=group:BUNDLE 0 1" in browser.events("sdp_remote_answer")[-1]
    assert browser.run("session.connection.connectionState") in ("connecting", "connected")
    hangs_up(browser, phone, gateway)


@pytest.mark.row("I09", "N07", "K04")
def test_transfers_by_the_browser(gateway: Gateway, browser: Chromium, phone: Party) -> None:
    """Blind, then attended: the second call is named as the phone knows it, not as the browser does (RFC 5589)."""
    _, first = answered(browser, phone)
    heard = "{requestSucceeded: () => note('referring'), accepted: () => note('transferred')}"
    browser.run(f"void session.refer('sip:200@{rig.DOMAIN}', {{eventHandlers: {heard}}})")
    refer = phone.hears("REFER")
    phone.answer(refer, 202)
    assert refer["Refer-To"] == f"<sip:200@{rig.DOMAIN}>"
    browser.wait("referring")
    lines = [f"Event: refer;id={refer['CSeq'].split()[0]}", "Subscription-State: terminated;reason=noresource"]
    phone.within(first, "NOTIFY", lines=lines, body="SIP/2.0 200 OK\r\n", kind="message/sipfrag")
    phone.hears(200)
    browser.wait("transferred")
    browser.run("void (window.earlier = session)")
    _, second = answered(browser, phone, port=RTP + 20)
    browser.run(f"void earlier.refer('sip:phone@{rig.DOMAIN}', {{replaces: session}})")
    refer = phone.hears("REFER")
    phone.answer(refer, 202)
    named = unquote(refer["Refer-To"].partition("Replaces=")[2].strip(">"))
    ours, theirs = (one.rpartition(";tag=")[2] for one in (second.local, second.remote))
    assert named == f"{second.call_id};to-tag={ours};from-tag={theirs}"
    phone.within(first, "BYE")
    phone.hears(200)
    hangs_up(browser, phone, gateway)


@pytest.mark.row("I09", "N07", "K04")
def test_transfers_by_the_phone(gateway: Gateway, browser: Chromium, phone: Party) -> None:
    """The browser is asked to call somebody, and does; then a call of somebody else replaces its call (RFC 3891)."""
    _, first = answered(browser, phone)
    browser.run(HEAR_REFERS)
    phone.within(first, "REFER", lines=[f"Refer-To: <sip:phone@{rig.DOMAIN}>", f"Referred-By: <sip:phone@{CORE}>"])
    phone.hears(202)
    invite = phone.hears("INVITE")
    ok = phone.answer(invite, 200, body=sdp(port=RTP + 20))
    phone.hears("ACK")
    while "200" not in (notify := phone.hears("NOTIFY")).body:
        phone.answer(notify, 200)
    phone.answer(notify, 200)
    phone.within(first, "BYE")
    phone.hears(200)
    second = dialog_of(invite, ok)
    browser.run("void session.on('replaces', (e) => e.accept((made) => take(made, 'remote')))")
    ours, theirs = (one.rpartition(";tag=")[2] for one in (second.local, second.remote))
    call = Call(phone, rig.USER, f"{time.monotonic_ns()}@{CORE}", "INVITE")
    call.uri = call.to = f"sip:{rig.USER}@{rig.DOMAIN}"
    phone.send(phone.request(
        "INVITE", call.uri, call.sender, call.to, call.call_id, 1, body=sdp(port=RTP + 30), branch=call.branch,
        lines=[f"Replaces: {second.call_id};to-tag={theirs};from-tag={ours}"],
    ))  # fmt: skip
    third = call.dialog(phone.hears(200))
    phone.within(third, "ACK", number=1)
    bye = phone.hears("BYE")
    assert bye["Call-ID"] == second.call_id
    phone.answer(bye, 200)
    phone.within(third, "BYE")
    phone.hears(200)
    assert_freed(gateway)


@pytest.mark.row("I09", "L01")
def test_two_pages_of_a_user(gateway: Gateway, browser: Chromium, authority: Authority, phone: Party) -> None:
    """Both ring, one answers, the other one hears that it is over."""
    with chromium.browser(gateway.lab, "access", 41, authority) as other:
        rig.register(other)
        other.run("agent.removeAllListeners('newRTCSession') && 1")
        other.run("void agent.on('newRTCSession', ({session}) => session.on('failed', (e) => note('failed', e.cause)))")
        call = calls(phone)
        dialog = call.dialog(phone.hears(200))
        phone.within(dialog, "ACK", number=1)
        browser.wait("confirmed")
        assert other.wait("failed") == "Canceled"
        phone.within(dialog, "BYE")
        phone.hears(200)
    assert_freed(gateway)


@contextmanager
def talking(port: int) -> Iterator[None]:
    """The phone's voice, to this port of the gateway."""
    def voice() -> socket.socket:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.bind((CORE, RTP))
        return link

    link, over = labs.inside("core", voice), threading.Event()

    def talk() -> None:
        for number in range(1 << 16):
            head = struct.pack("!BBHII", 0x80, wire.PCMU, number, number * 160, 7)
            link.sendto(head + bytes(160), (labs.GATEWAY["core"], port))
            if over.wait(0.02):
                return

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        link.close()


@pytest.mark.long
@pytest.mark.row("D09", "I09", "H01")
def test_a_page_is_closed_in_mid_call(gateway: Gateway, authority: Authority, phone: Party) -> None:
    """Nobody says BYE. The other end goes on talking; when the page has not consented for media.silence_timeout_s, it
    is hung up, and nothing is left behind."""
    with chromium.browser(gateway.lab, "access", 42, authority) as leaving:
        rig.register(leaving, rig.OTHER_USER)
        invite, _ = answered(leaving, phone)
        port = re.search(r"^m=audio (\d+) ", invite.body, re.M)
        assert port
        leaving.wait("listening")
        time.sleep(6)  # until it has asked for consent once, it might be a phone that never does (RFC 5245)
    with talking(int(port[1])):
        bye = phone.hears("BYE", 45)
    phone.answer(bye, 200)
    labs.wait_for(lambda: "consent-lost" in gateway.log("control"), 5, "nobody says why")
    assert_freed(gateway)
