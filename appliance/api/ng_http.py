"""NG over HTTP(S), POST /ng, and over WebSocket (WSS), sub-protocol ng.rtpengine.com: rtpengine's paths, names and
content type. GET /ping says pong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

from appliance.api.ng_requests import NgRequests
from appliance.protocols.ng.codec import MAX_MESSAGE

CONTENT_TYPE = "application/x-rtpengine-ng"
SUBPROTOCOL = "ng.rtpengine.com"
MOST_HEADERS = 4096  # octets of one header line
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PING_S = 30.0  # a WebSocket client that answers no ping in this time is gone


class NgHttp:
    """The web server: one application on any number of sockets. `idle_s`: longest wait for a request's body, for the
    next request on a connection, and for a client to take an answer."""

    def __init__(self, requests: NgRequests, *, most: int, idle_s: float) -> None:
        self._requests, self._most, self._idle_s = requests, most, idle_s
        self._open = 0
        self._sockets: set[web.WebSocketResponse] = set()
        application = web.Application(middlewares=[self._admit], client_max_size=MAX_MESSAGE)
        application.router.add_post("/ng", self._post)
        application.router.add_get("/ng", self._websocket)
        application.router.add_get("/", self._websocket)
        application.router.add_get("/ping", self._ping)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=idle_s, lingering_time=idle_s, max_line_size=MOST_HEADERS,
            max_field_size=MOST_HEADERS, handle_signals=False, shutdown_timeout=1.0,
        )  # fmt: skip
        self._ready = False

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Open one socket; the address it really has. OSError."""
        if not self._ready:
            await self._runner.setup()
            self._ready = True
        before = len(self._runner.addresses)
        await web.TCPSite(self._runner, host, port, ssl_context=tls, backlog=self._most).start()
        address = self._runner.addresses[before]
        return str(address[0]), int(address[1])

    async def close(self) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY)
        await self._runner.cleanup()

    @web.middleware
    async def _admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Strangers get a bare 403, one client too many a 503."""
        if not request.remote or not self._requests.admits(request.remote):
            return _plain("forbidden\n", 403, close=True)
        if self._open >= self._most:
            self._requests.counts["connection_refused"] += 1
            return _plain("too many requests\n", 503, close=True)
        self._open += 1
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _plain(f"{error.reason.lower()}\n", error.status, close=error.status == 413)
        finally:
            self._open -= 1

    async def _ping(self, request: web.Request) -> web.Response:
        return _plain("pong\n", 200)

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_type != CONTENT_TYPE:
            raise web.HTTPUnsupportedMediaType
        try:
            data = await asyncio.wait_for(request.read(), self._idle_s)
        except TimeoutError:
            self._requests.counts["too_slow"] += 1
            return _plain("request timeout\n", 408, close=True)
        reply = await self._requests.ask(data, str(request.remote))
        if not reply:
            return _plain("error\n", 400)
        return web.Response(body=reply, headers={"content-type": CONTENT_TYPE})

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        """One message in, one message out; text is answered by text. Requests of one connection run at the same
        time."""
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_MESSAGE, heartbeat=PING_S, timeout=self._idle_s, compress=False
        )
        if not socket.can_prepare(request):
            raise web.HTTPNotFound
        await socket.prepare(request)
        if socket.ws_protocol != SUBPROTOCOL:
            await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=b"sub-protocol " + SUBPROTOCOL.encode())
            return socket
        self._sockets.add(socket)
        try:
            async with asyncio.TaskGroup() as answers:
                async for message in socket:
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        answers.create_task(self._converse(socket, message.data, str(request.remote)))
        finally:
            self._sockets.discard(socket)
        return socket

    async def _converse(self, socket: web.WebSocketResponse, data: str | bytes, host: str) -> None:
        text = isinstance(data, str)
        octets = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        reply = await self._requests.ask(octets, host)
        if not reply or socket.closed:
            return
        try:
            async with asyncio.timeout(self._idle_s):
                if text:
                    await socket.send_str(reply.decode("utf-8", "replace"))
                else:
                    await socket.send_bytes(reply)
        except (ConnectionError, TimeoutError):
            self._requests.counts["too_slow"] += 1
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Server side, TLS 1.2 and newer. OSError (ssl.SSLError is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _plain(text: str, status: int, *, close: bool = False) -> web.Response:
    response = web.Response(text=text, status=status)
    if close:
        response.force_close()
    return response
