"""NG over TCP, HTTP, HTTPS, WebSocket and WSS: the same requests, the same allow list, each with its limits."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from appliance.api.ng_http import CONTENT_TYPE, SUBPROTOCOL, tls_context
from appliance.api.ng_rules import NgRules
from appliance.api.ng_server import NgServer
from appliance.protocols.ng.codec import MAX_MESSAGE
from tests.appliance.api.test_mutual_tls import Authority
from tests.appliance.rig import Rig

PING, PONG = b"1 d7:command4:pinge", b"1 d6:result4:ponge"
JSON_PING, JSON_PONG = '2 {"command":"ping"}', '2 {"result":"pong"}'


@pytest.fixture
async def server() -> AsyncIterator[NgServer]:
    made = NgServer(Rig().calls, ["127.0.0.1/32"], NgRules(), connections=2, idle_s=0.2)
    yield made
    await made.close()


async def ended(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""


# ---------------------------------------------------------------- TCP


async def test_tcp(server: NgServer) -> None:
    """Peers 1.1, tcp-ng: requests one behind the other, in both codings, on one connection."""
    reader, writer = await asyncio.open_connection(*await server.listen_tcp("127.0.0.1", 0))
    writer.write(PING + JSON_PING.encode() + b"\n3 d7:comm")
    assert await reader.readexactly(len(PONG)) == PONG
    assert await reader.readexactly(len(JSON_PONG)) == JSON_PONG.encode()
    writer.write(b"and4:pinge")
    assert await reader.readexactly(len(PONG)) == b"3" + PONG[1:]
    writer.close()


async def test_tcp_slow_client(server: NgServer) -> None:
    """G6: a message that drips is cut off; a connection that is idle between messages is not."""
    address = await server.listen_tcp("127.0.0.1", 0)
    idle_reader, idle_writer = await asyncio.open_connection(*address)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"1 d7:comm")
    assert await ended(reader) == b"" and server.counts["too_slow"] == 1
    idle_writer.write(PING)
    assert await idle_reader.readexactly(len(PONG)) == PONG
    idle_writer.close()


async def test_tcp_limits(server: NgServer) -> None:
    """What is no NG ends the connection; so does one connection too many, without harm to the others."""
    address = await server.listen_tcp("127.0.0.1", 0)
    first, first_writer = await asyncio.open_connection(*address)
    second, second_writer = await asyncio.open_connection(*address)
    first_writer.write(PING)
    second_writer.write(PING)
    assert await first.readexactly(len(PONG)) == await second.readexactly(len(PONG)) == PONG
    third, _ = await asyncio.open_connection(*address)
    assert await ended(third) == b"" and server.counts["connection_refused"] == 1
    second_writer.write(b"x" * 300)
    assert await ended(second) == b"" and server.counts["malformed"] == 1
    first_writer.write(PING)
    assert await first.readexactly(len(PONG)) == PONG
    first_writer.close()


async def test_strangers() -> None:
    """The allow list holds for every transport (ecosystem 2.1)."""
    server = NgServer(Rig().calls, ["192.0.2.0/24"], NgRules())
    try:
        reader, writer = await asyncio.open_connection(*await server.listen_tcp("127.0.0.1", 0))
        writer.write(PING)
        assert await ended(reader) == b""
        host, port = await server.listen_http("127.0.0.1", 0)
        base = f"http://{host}:{port}"
        async with aiohttp.ClientSession() as session:
            async with session.post(base + "/ng", data=PING, headers={"content-type": CONTENT_TYPE}) as reply:
                assert reply.status == 403 and await reply.text() == "forbidden\n"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(base + "/", protocols=[SUBPROTOCOL])
        assert server.counts["source_refused"] == 3
    finally:
        await server.close()


# ---------------------------------------------------------------- HTTP and WebSocket


@pytest.fixture(params=["plain", "tls"])
async def web(server: NgServer, request: Any, tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A client session and the base URL, over HTTP and HTTPS."""
    tls = trust = None
    if request.param == "tls":
        authority = Authority(tmp_path, "authority")
        certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
        secret, chain = authority.issue("gateway", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        key.write_bytes(secret)
        certificate.write_bytes(chain)
        tls = tls_context(certificate, key)
        trust = ssl.create_default_context(cafile=str(authority.file))
    host, port = await server.listen_http("127.0.0.1", 0, tls)
    connector = aiohttp.TCPConnector(ssl=trust) if trust else None
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session, f"http{'s' if tls else ''}://{host}:{port}"


Web = tuple[aiohttp.ClientSession, str]


async def post(web: Web, data: bytes, content_type: str = CONTENT_TYPE, path: str = "/ng") -> tuple[int, bytes, str]:
    session, base = web
    async with session.post(base + path, data=data, headers={"content-type": content_type}) as reply:
        return reply.status, await reply.read(), reply.content_type


async def test_http(web: Web) -> None:
    """Peers 1.1: POST /ng with rtpengine's content type, bencode and JSON; GET /ping."""
    assert await post(web, PING) == (200, PONG, CONTENT_TYPE)
    assert await post(web, JSON_PING.encode()) == (200, JSON_PONG.encode(), CONTENT_TYPE)
    session, base = web
    async with session.get(base + "/ping") as reply:
        assert (reply.status, await reply.text(), reply.content_type) == (200, "pong\n", "text/plain")


async def test_http_refusals(web: Web, server: NgServer) -> None:
    assert (await post(web, PING, "text/plain"))[0] == 415
    assert (await post(web, PING, path="/elsewhere"))[:2] == (404, b"not found\n")
    assert (await post(web, b"nocookie"))[:2] == (400, b"error\n")
    assert b"Invalid NG data format" in (await post(web, b"1 rubbish"))[1]
    assert (await post(web, b"1 d" + b"x" * MAX_MESSAGE))[0] == 413
    session, base = web
    async with session.get(base + "/ng") as reply:
        assert reply.status == 404
    assert server.counts["malformed"] == 2


async def test_http_slow_body(server: NgServer) -> None:
    """A body that does not come is a 408 after idle_s."""
    reader, writer = await asyncio.open_connection(*await server.listen_http("127.0.0.1", 0))
    head = f"POST /ng HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: 50\r\n\r\n1 "
    writer.write(head.encode())
    assert b" 408 " in await ended(reader) and server.counts["too_slow"] == 1


@pytest.mark.parametrize("path", ["/", "/ng"])
async def test_websocket(web: Web, path: str) -> None:
    """Peers 1.1: sub-protocol ng.rtpengine.com; text answers text, binary binary; many requests at once."""
    session, base = web
    async with session.ws_connect(base + path, protocols=[SUBPROTOCOL]) as socket:
        assert socket.protocol == SUBPROTOCOL
        await socket.send_str(JSON_PING)
        assert await socket.receive_str() == JSON_PONG
        await socket.send_bytes(PING)
        assert await socket.receive_bytes() == PONG
        for cookie in range(10, 30):
            await socket.send_str(f'{cookie} {{"command":"ping"}}')
        answers = {(await socket.receive_str()).split()[0] for _ in range(20)}
        assert answers == {str(cookie) for cookie in range(10, 30)}


async def test_websocket_refusals(web: Web) -> None:
    """Another sub-protocol, or a message that is too long, ends the connection."""
    session, base = web
    async with session.ws_connect(base + "/", protocols=["echo.rtpengine.com"]) as socket:
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.PROTOCOL_ERROR
    async with session.ws_connect(base + "/", protocols=[SUBPROTOCOL]) as socket:
        await socket.send_bytes(b"1 d" + b"x" * MAX_MESSAGE)
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_web_clients_are_bounded(web: Web, server: NgServer) -> None:
    session, base = web
    first = await session.ws_connect(base + "/", protocols=[SUBPROTOCOL])
    second = await session.ws_connect(base + "/", protocols=[SUBPROTOCOL])
    assert (await post(web, PING))[0] == 503 and server.counts["connection_refused"] == 1
    await second.close()
    await first.send_bytes(PING)
    assert await first.receive_bytes() == PONG
    await first.close()


async def test_one_cookie_cache_for_all(web: Web, server: NgServer) -> None:
    """A client that repeats a request over another transport gets the stored answer."""
    reader, writer = await asyncio.open_connection(*await server.listen_tcp("127.0.0.1", 0))
    writer.write(PING)
    assert await reader.readexactly(len(PONG)) == PONG
    assert (await post(web, PING))[1] == PONG
    assert server.counts["ping"] == 1 and server.counts["repeated"] == 1
    writer.close()
