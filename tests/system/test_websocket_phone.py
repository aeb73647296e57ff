"""A phone that registers over WebSocket (RFC 7118) is called in its session, though its Contact names nobody; what
media it is offered follows from there (rows I09, G06, L01). What a browser makes of it is in webrtc/test_browser.py.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.targets import HOST, Target, header, response
from tests.system.test_digest import WORD, add
from tests.system.test_registrar import register
from tests.system.websocket_phone import GATEWAY_SDP, NoteTaker, WebsocketPhone, websocket_phone

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, WS, DESK = 32000, 32002, 32004
URL = f"http://{HOST}:{WS}"
CALLER = "127.0.0.9"
PLAIN = "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
WEBRTC = PLAIN.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF") + "a=fingerprint:sha-256 AA\r\na=setup:actpass\r\n"
INSTANCE = ';reg-id=1;+sip.instance="<urn:uuid:7f6b5f5e-1c1c-4d3e-8d0a-000000000001>"'
SDP = "Content-Type: application/sdp\r\n"
BROWSER_WORDS = {"transport-protocol": "UDP/TLS/RTP/SAVPF", "ICE": "force", "DTLS": None}
PLAIN_WORDS = {"transport-protocol": "RTP/AVP", "ICE": "remove", "rtcp-mux": ["demux"]}


class Desk(Target):
    """Answers with SDP."""

    def _replies(self, message: str) -> list[str]:
        return [with_body(one, PLAIN) if message.startswith("INVITE") else one for one in super()._replies(message)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[NoteTaker]:
    running = NoteTaker(PORT + 1)
    yield running
    running.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, gateway: NoteTaker) -> Iterator[Edge]:
    place = tmp_path_factory.mktemp("ws-phone")
    desk = Desk(DESK)
    trunks: list[dict[str, Any]] = [
        {"name": "world", "match": [f"{CALLER}/32"], "destination": "registrar"},
        {"name": "phones", "match": ["127.0.0.0/8"], "authenticate": "digest", "destination": f"sip:{HOST}:{DESK}"},
    ]
    with running(place, PORT, sip={"listen": [f"udp:{HOST}:{PORT}", f"ws:{HOST}:{WS}"]}, trunks=trunks,
                 sip_registrar={"enabled": True, "trunk": "phones"}, sip_flood={"enabled": False}) as edge:  # fmt: skip
        for user in ("alice", "bob", "carol"):
            add(place, user)
        yield edge
    desk.close()


async def in_a_call(caller: Phone, phone: WebsocketPhone, user: str) -> tuple[str, str, str]:
    """Up to its ACK: the INVITE as the page heard it, as the caller sent it, and the 200."""
    invite = caller.request("INVITE", user)
    caller.send(invite)
    heard = await phone.receive()
    await phone.session.send_str(replied(heard, 200, phone))
    answered = await asyncio.to_thread(_final, caller)
    caller.send(within("ACK", answered, caller, invite))
    assert (await phone.receive()).startswith("ACK ")
    return heard, invite, answered


def _final(caller: Phone) -> str:
    """The caller's next final reply; empty when none comes."""
    while (reply := caller.receive(3.0)).startswith("SIP/2.0 1"):
        pass
    return reply


def bindings(edge: Edge) -> list[str]:
    """Users that are registered."""
    users = ("alice", "bob", "carol")
    return [name for name in users if "Contacts" in edge.rpc("ul.lookup", "location", f"{name}@{HOST}")]


def said(asked: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    return {name: asked.get(name) for name in words}


def replied(request: str, status: int, phone: WebsocketPhone, body: str = "") -> str:
    return with_body(response(request, status, f"Contact: {phone.contact}\r\n"), body)


def with_body(reply: str, body: str) -> str:
    kind = f"{SDP}Content-Length: {len(body)}\r\n\r\n{body}"
    return reply.replace("Content-Length: 0\r\n\r\n", kind) if body else reply


def within(method: str, reply: str, phone: Phone, invite: str) -> str:
    """A request in the dialog that the caller's `invite` and this `reply` made."""
    routes = re.findall(r"^Record-Route:[ \t]*(.*?)\r?$", reply, re.MULTILINE | re.IGNORECASE)
    route = "".join(f"Route: {one}\r\n" for one in reversed(routes))
    target = header(reply, "Contact").split("<", 1)[1].split(">", 1)[0]
    fresh = phone.request(method, headers=[route.rstrip()] if route else [], number=1 if method == "ACK" else 2)
    lines = {name: f"{name}: {header(reply, name)}" for name in ("From", "To", "Call-ID")}
    for name, line in lines.items():
        fresh = re.sub(rf"^{name}:.*?$", line.replace("\\", r"\\") + "\r", fresh, count=1, flags=re.MULTILINE)
    return re.sub(r"^\S+ \S+", f"{method} {target}", fresh, count=1)


@pytest.mark.row("I09", "G06", "L01")
async def test_a_registered_session_is_called(edge: Edge, gateway: NoteTaker) -> None:
    """REGISTER, a call from elsewhere, ACK and BYE, all in the session; the phone is asked for DTLS-SRTP and ICE, the
    caller stays what it was."""
    async with websocket_phone(URL, "alice") as phone:
        assert (await phone.register(WORD)).startswith("SIP/2.0 200")
        with Phone(PORT, CALLER) as caller:
            invite = caller.request("INVITE", "alice", headers=["Content-Type: application/sdp"], body=PLAIN)
            caller.send(invite)
            heard = await phone.receive()
            assert heard.startswith(f"INVITE {phone.contact.strip('<>')} SIP/2.0\r\n")
            assert GATEWAY_SDP.format("UDP/TLS/RTP/SAVPF") in heard
            offer = gateway.last("offer")
            assert said(offer, BROWSER_WORDS) == BROWSER_WORDS
            assert {"offer", "require"} <= set(offer["rtcp-mux"]) and "off" in offer["SDES"]
            assert CALLER not in heard
            await phone.session.send_str(replied(heard, 200, phone, WEBRTC))
            answered = await asyncio.to_thread(_final, caller)
            assert answered.startswith("SIP/2.0 200") and phone.contact not in answered
            assert said(gateway.last("answer"), {"rtcp-mux": [], "DTLS": ""}) == {"rtcp-mux": ["demux"], "DTLS": "off"}
            for method in ("ACK", "BYE"):
                caller.send(within(method, answered, caller, invite))
                heard = await phone.receive()
                assert heard.startswith(f"{method} {phone.contact.strip('<>')} ")
            await phone.session.send_str(replied(heard, 200, phone))
            assert (await asyncio.to_thread(_final, caller)).startswith("SIP/2.0 200")


@pytest.mark.row("I09", "G06")
async def test_a_session_calls_a_desk_phone(edge: Edge, gateway: NoteTaker) -> None:
    """The other way round: ICE, multiplexing and DTLS end at the gateway, and come back in the answer."""
    async with websocket_phone(URL, "bob") as phone:
        reply = await phone.call(WORD, WEBRTC)
        assert reply.startswith("SIP/2.0 200") and GATEWAY_SDP.format("RTP/AVP") in reply
        assert said(gateway.last("offer"), PLAIN_WORDS) == PLAIN_WORDS
        assert not {"ICE", "DTLS", "rtcp-mux"} & set(gateway.last("answer"))


@pytest.mark.row("I09", "K03")
@pytest.mark.parametrize(("size", "status"), [(12_288, 200), (12_289, 413)])
async def test_an_offer_with_many_candidates(edge: Edge, gateway: NoteTaker, size: int, status: int) -> None:
    """Whole to the media gateway; a desk phone's may not be so long."""
    line = "a=candidate:1 1 udp 2122260223 2001:db8:1:2:3:4:5:6 50000 typ host generation 0 network-id 1\r\n"
    offer = (WEBRTC + line * ((size - len(WEBRTC)) // len(line))).ljust(size - 2, "x") + "\r\n"
    async with websocket_phone(URL, "bob") as phone:
        if status == 200:
            assert (await phone.call(WORD, offer)).startswith("SIP/2.0 200")
            assert gateway.last("offer")["sdp"] == offer
        else:
            assert (await phone.ask(phone.request("INVITE", body=offer))).startswith(f"SIP/2.0 {status}")
    with Phone(PORT, CALLER) as caller:
        invite = caller.request("INVITE", "alice", headers=["Content-Type: application/sdp"], body=offer[:8193])
        assert await asyncio.to_thread(caller.status, invite, 3.0) == 413


@pytest.mark.row("I09", "L01")
async def test_the_callees_bye_and_a_session_that_ended(edge: Edge) -> None:
    """Requests of the callee find the caller; when the session is over the user is not registered any more."""
    async with websocket_phone(URL, "alice") as phone:
        assert (await phone.register(WORD)).startswith("SIP/2.0 200")
        with Phone(PORT, CALLER) as caller:
            heard, _, answered = await in_a_call(caller, phone, "alice")
            bye = phone.request("BYE")
            for name, there in (("From", "To"), ("To", "From"), ("Call-ID", "Call-ID")):
                value = header(answered if there == "To" else heard, there).replace("\\", r"\\")
                bye = re.sub(rf"^{name}:.*?\r$", f"{name}: {value}\r", bye, count=1, flags=re.MULTILINE)
            routes = "".join(f"Route: {one}\r\n" for one in re.findall(r"^Record-Route: (.*?)\r$", heard, re.MULTILINE))
            target = header(heard, "Contact").split("<", 1)[1].split(">", 1)[0]
            bye = re.sub(r"^BYE \S+", f"BYE {target}", bye).replace("Max-Forwards", f"{routes}Max-Forwards", 1)
            await phone.session.send_str(bye)
            assert (await asyncio.to_thread(caller.receive, 3.0)).startswith(f"BYE sip:me@{CALLER}")
    await asyncio.to_thread(wait_for, lambda: not bindings(edge), 8, edge.log)
    with Phone(PORT, CALLER) as caller:
        assert await asyncio.to_thread(caller.status, caller.request("INVITE", "alice"), 3.0) == 480


@pytest.mark.row("I09", "L01")
async def test_a_page_that_was_loaded_anew(edge: Edge) -> None:
    """The same instance in a new session (RFC 5626): its old session's end does not take it away."""
    with Phone(PORT, CALLER) as caller:
        async with websocket_phone(URL, "bob") as new:
            async with websocket_phone(URL, "bob") as old:
                old.contact += INSTANCE
                assert (await old.register(WORD, "Supported: outbound, path\r\n")).startswith("SIP/2.0 200")
                new.contact += INSTANCE
                assert (await new.register(WORD, "Supported: outbound, path\r\n")).startswith("SIP/2.0 200")
            await asyncio.sleep(2.5)  # Kamailio tells the end of a session a second or two later
            caller.send(caller.request("INVITE", "bob"))
            assert (await new.receive()).startswith("INVITE ")


@pytest.mark.row("I09", "L01", "H01")
async def test_a_session_that_is_replaced_in_mid_call(edge: Edge) -> None:
    """RFC 5626: the connection breaks, the page opens another one and registers the same Contact in it: INFO and BYE of
    the call follow, twice; while there is no session, the caller hears 480, once."""
    with Phone(PORT, CALLER) as caller:
        async with websocket_phone(URL, "alice") as phone:
            assert (await phone.register(WORD)).startswith("SIP/2.0 200")
            heard, invite, answered = await in_a_call(caller, phone, "alice")
        await asyncio.to_thread(wait_for, lambda: not bindings(edge), 8, edge.log)
        caller.send(within("INFO", answered, caller, invite))
        assert (await asyncio.to_thread(_final, caller)).startswith("SIP/2.0 480")
        assert await asyncio.to_thread(caller.receive, 0.3) == ""
        assert counted(edge, "unreachable") == 1
        for last in (False, True):
            async with websocket_phone(URL, "alice") as again:
                again.contact = phone.contact
                assert (await again.register(WORD)).startswith("SIP/2.0 200")
                for method in ("INFO", "BYE") if last else ("INFO",):
                    caller.send(within(method, answered, caller, invite))
                    heard = await again.receive()
                    assert heard.startswith(f"{method} ")
                    await again.session.send_str(replied(heard, 200, again))
                    assert (await asyncio.to_thread(_final, caller)).startswith("SIP/2.0 200")


@pytest.mark.row("I09", "L01", "H01")
async def test_the_edge_is_killed_in_mid_call(edge: Edge) -> None:
    """Every session ends with it; pages open others, and their calls go on."""
    with Phone(PORT, CALLER) as caller:
        async with websocket_phone(URL, "carol") as phone:
            assert (await phone.register(WORD)).startswith("SIP/2.0 200")
            heard, invite, answered = await in_a_call(caller, phone, "carol")
            await asyncio.sleep(2.5)  # of a binding: areas/registrar.WRITE_BACK_S
            edge.stop(signal.SIGKILL)
        edge.start()
        async with websocket_phone(URL, "carol") as again:
            again.contact = phone.contact
            assert (await again.register(WORD)).startswith("SIP/2.0 200")
            caller.send(within("BYE", answered, caller, invite))
            heard = await again.receive()
            assert heard.startswith("BYE ")
            await again.session.send_str(replied(heard, 200, again))
            assert (await asyncio.to_thread(_final, caller)).startswith("SIP/2.0 200")


@pytest.mark.row("L01", "G06")
async def test_a_browser_and_a_desk_phone_of_one_user(edge: Edge, gateway: NoteTaker) -> None:
    """Both ring, each with the offer that it understands; the one that answers has the call."""
    async with websocket_phone(URL, "carol") as browser:
        with Phone(PORT, CALLER) as caller, Phone(PORT, "127.0.0.3") as desk:
            assert (await browser.register(WORD)).startswith("SIP/2.0 200")
            assert (await asyncio.to_thread(register, desk, "carol")).startswith("SIP/2.0 200")
            invite = caller.request("INVITE", "carol", headers=["Content-Type: application/sdp"], body=PLAIN)
            caller.send(invite)
            heard = await browser.receive()
            assert GATEWAY_SDP.format("UDP/TLS/RTP/SAVPF") in heard
            await browser.session.send_str(replied(heard, 180, browser))  # none: there would be nothing to cancel yet
            while not (await asyncio.to_thread(caller.receive)).startswith("SIP/2.0 180"):
                pass
            ringing = await asyncio.to_thread(desk.receive, 3.0)
            assert GATEWAY_SDP.format("RTP/AVP") in ringing
            desk.send(with_body(response(ringing, 200, f"Contact: <sip:carol@{desk.at[0]}:{desk.at[1]}>\r\n"), PLAIN))
            assert (await asyncio.to_thread(_final, caller)).startswith("SIP/2.0 200")
            assert (await browser.receive()).startswith("CANCEL ")
            offers = [one for one in gateway.asked if one["command"] == "offer"][-2:]
            assert sorted(one["via-branch"] for one in offers) == ["other", "webrtc"]
            assert gateway.last("answer")["via-branch"] == "other"
