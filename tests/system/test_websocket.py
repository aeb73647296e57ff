"""SIP over WebSocket (RFC 7118) on the wire: sessions, refusals, a call and the way back to it (rows I09, P12)."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from appliance.sip_edge.management import status
from appliance.sip_edge.rpc import SOCKET, Rpc
from tests.system.certificates import Authority
from tests.system.kamailio_rig import Edge, counted, running
from tests.system.targets import HOST, Gateway, Target, header

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, WS, WSS, CALLEE, FLOODED = 29840, 29842, 29844, 29846, 29850
PAGE = "https://phone.example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Edge]:
    place = tmp_path_factory.mktemp("ws")
    own = authority.issue(HOST)
    gateway, callee = Gateway(PORT + 1), Target(CALLEE)
    with running(
        place, PORT,
        sip={"listen": [f"udp:{HOST}:{PORT}", f"ws:{HOST}:{WS}", f"wss:{HOST}:{WSS}", f"ws:[::1]:{WS}"],
             "certificate": str(own.chain), "key": str(own.key)},
        sip_websocket={"origins": [PAGE]},
        trunks=[{"name": "browsers", "match": ["127.0.0.0/8"], "destination": f"sip:{HOST}:{CALLEE}"}],
    ) as edge:  # fmt: skip
        edge.callee = callee  # type: ignore[attr-defined]
        yield edge
    callee.close()
    gateway.close()


def request(method: str, call_id: str = "", transport: str = "WS", to_tag: str = "", more: str = "",
            target: str = f"sip:bob@{HOST}") -> str:  # fmt: skip
    """As SIP.js writes it: a Contact that nobody can resolve."""
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} x1.invalid;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:alice@{HOST}>;tag=a1\r\nTo: <sip:bob@{HOST}>{tag}\r\n"
        f"Call-ID: {call_id or secrets.token_hex(8)}\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:alice@x1.invalid;transport=ws>\r\n{more}Content-Length: 0\r\n\r\n"
    )


async def final(session: aiohttp.ClientWebSocketResponse) -> str:
    """The next reply that is not provisional."""
    while True:
        text = await session.receive_str(timeout=5)
        if not text.startswith("SIP/2.0 1"):
            return text


async def status_of(headers: dict[str, str], path: str = "", *, protocols: tuple[str, ...] = ("sip",)) -> int:
    """HTTP status of an attempt to open a session; 101 when it opens."""
    async with aiohttp.ClientSession() as client:
        try:
            async with client.ws_connect(f"http://{HOST}:{WS}/{path}", headers=headers, protocols=protocols) as session:
                assert session.protocol == "sip"
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def test_a_session_opens_with_the_subprotocol(edge: Edge) -> None:
    """RFC 7118 section 4: `sip`, from a page that may."""
    assert await status_of({"Origin": PAGE}) == 101


async def test_over_ipv6_by_any_path(edge: Edge) -> None:
    """The resource of the URL is the page's matter (RFC 7118 names none). Keep-alives are answered: pings of RFC 6455,
    double CRLF of RFC 5626 section 3.5.1, and a request after them."""
    before = counted(edge, "malformed")
    url, words = f"http://[::1]:{WS}/ws/sip?token=a%20b", {"headers": {"Origin": PAGE}, "protocols": ("sip",)}
    async with aiohttp.ClientSession() as client, client.ws_connect(url, **words) as session:
        await session.ping(b"x")
        await session.send_str("\r\n\r\n")
        assert await session.receive_str(timeout=5) == "\r\n"
        await session.send_str(request("OPTIONS"))
        assert (await final(session)).startswith("SIP/2.0 200")
    assert counted(edge, "malformed") == before


async def test_other_pages_and_protocols_are_refused(edge: Edge) -> None:
    """The Origin of another page, another subprotocol: refused before a session is there, counted."""
    before = counted(edge, "websocket_origin")
    assert await status_of({"Origin": "https://evil.example"}) == 403
    assert counted(edge, "websocket_origin") == before + 1
    assert await status_of({"Origin": PAGE}, protocols=("chat",)) in (400, 403, 426)


async def test_an_origin_in_other_octets_is_answered(edge: Edge) -> None:
    """What is no UTF-8 is the Origin of another page, not an exception of ours."""
    reader, writer = await asyncio.open_connection(HOST, WS)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nOrigin: https://\xff\xfe\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 5)  # and the connection is closed
    assert answer.startswith(b"HTTP/1.1 403")
    writer.close()


async def test_a_flood_ends_its_session_and_sessions_are_bounded(tmp_path: Path) -> None:
    """M06: a banned source's session is closed (1008); more sessions than max_sessions: 503."""
    flood = {"exact": True, "reqs_density_per_unit": 5, "sampling_time_unit": 2, "ban_s": 30}
    with running(tmp_path, FLOODED, sip={"listen": [f"udp:{HOST}:{FLOODED}", f"ws:{HOST}:{FLOODED + 2}"]},
                 sip_flood=flood, sip_websocket={"max_sessions": 1}) as edge:  # fmt: skip
        url = f"http://{HOST}:{FLOODED + 2}"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))) as client,
            client.ws_connect(url, protocols=("sip",)) as session,
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(url, protocols=("sip",))
            assert refused.value.status == 503 and counted(edge, "websocket_full") == 1
            for _ in range(5):
                await session.send_str(request("OPTIONS"))
                assert (await final(session)).startswith("SIP/2.0 200")
            await session.send_str(request("OPTIONS"))
            assert (await session.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
            assert session.close_code == 1008


async def test_plain_http_is_not_served(edge: Edge) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"http://{HOST}:{WS}/index.html") as reply:
        assert reply.status in (404, 426)


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_requests_are_answered_in_the_session(edge: Edge, authority: Authority, secure: bool) -> None:
    """I09: OPTIONS over ws and wss."""
    url = f"https://{HOST}:{WSS}" if secure else f"http://{HOST}:{WS}"
    context = ssl.create_default_context(cafile=str(authority.own.chain))
    async with aiohttp.ClientSession() as client:
        words = {"headers": {"Origin": PAGE}, "protocols": ("sip",), "ssl": context}
        async with client.ws_connect(url, **words) as session:
            await session.send_str(request("OPTIONS", transport="WSS" if secure else "WS"))
            assert (await final(session)).startswith("SIP/2.0 200")
            told = await status.read(Rpc(edge.config.run / SOCKET))
            assert told.websocket["most"] >= told.websocket["current"] >= 1


async def test_a_call_and_its_way_back(edge: Edge) -> None:
    """RFC 7118 section 5: the callee's BYE reaches a browser whose Contact nobody could resolve."""
    callee: Target = edge.callee  # type: ignore[attr-defined]
    call_id = secrets.token_hex(8)
    words = {"headers": {"Origin": PAGE}, "protocols": ("sip",)}
    async with aiohttp.ClientSession() as client, client.ws_connect(f"http://{HOST}:{WS}", **words) as session:
        await session.send_str(request("INVITE", call_id, more=f"X-Call: {call_id}\r\n"))
        answer = await final(session)
        assert answer.startswith("SIP/2.0 200")
        invite = next(one for one in callee.heard if call_id in one and one.startswith("INVITE"))
        assert "x1.invalid" not in invite  # topology hiding holds for browsers too
        callee._socket.sendto(_bye_of_the_callee(invite, answer).encode(), (HOST, PORT))
        heard = await session.receive_str(timeout=5)
        assert heard.startswith("BYE sip:alice@x1.invalid")
        assert header(heard, "Call-ID") == call_id


def _bye_of_the_callee(invite: str, answer: str) -> str:
    """From what the callee saw: its dialog, the caller's Contact as the edge showed it."""
    contact = header(invite, "Contact").split("<", 1)[1].split(">", 1)[0]
    routes = "".join(f"Route: {one}\r\n" for one in [header(invite, "Record-Route")] if one)
    to = header(answer, "To")
    return (
        f"BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{CALLEE};branch=z9hG4bK{secrets.token_hex(6)}\r\n"
        f"Max-Forwards: 70\r\nFrom: {to}\r\nTo: {header(invite, 'From')}\r\nCall-ID: {header(invite, 'Call-ID')}\r\n"
        f"CSeq: 1 BYE\r\n{routes}Content-Length: 0\r\n\r\n"
    )
