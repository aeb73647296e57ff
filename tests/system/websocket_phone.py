"""A telephone on SIP over WebSocket (RFC 7118), message by message; it writes what JsSIP and SIP.js write: a
Contact that nobody can look up. And a media gateway that writes down what the edge asks of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import bencodepy

from tests.system.digest_client import answer, challenges
from tests.system.targets import HOST, Gateway

GATEWAY_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=gateway\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9000 {} 0\r\n"


class WebsocketPhone:
    """One session, one account."""

    def __init__(self, session: aiohttp.ClientWebSocketResponse, user: str) -> None:
        self.session, self.user = session, user
        self.contact = f"<sip:{user}@{secrets.token_hex(6)}.invalid;transport=ws>"

    def request(self, method: str, more: str = "", number: int = 1, body: str = "", to: str = "bob") -> str:
        target, whom = (f"sip:{HOST}", self.user) if method == "REGISTER" else (f"sip:{to}@{HOST}", to)
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/WS x1.invalid;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{HOST}>;tag={secrets.token_hex(4)}\r\n"
            f"To: <sip:{whom}@{HOST}>\r\nCall-ID: {secrets.token_hex(8)}\r\nCSeq: {number} {method}\r\n"
            f"Contact: {self.contact}\r\n{more}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    async def register(self, password: str, more: str = "") -> str:
        """The final reply."""
        first = await self.ask(self.request("REGISTER", more))
        proof = answer(challenges(first)[0], self.user, password, "REGISTER", f"sip:{HOST}")
        return await self.ask(self.request("REGISTER", f"{proof}\r\n{more}", 2))

    async def call(self, password: str, body: str, to: str = "bob") -> str:
        """An INVITE and the one with credentials; the final reply."""
        first = await self.ask(self.request("INVITE", body=body, to=to))
        proof = answer(challenges(first)[0], self.user, password, "INVITE", f"sip:{to}@{HOST}")
        return await self.ask(self.request("INVITE", f"{proof}\r\n", 2, body, to))

    async def ask(self, message: str) -> str:
        """The next final reply."""
        await self.session.send_str(message)
        while (reply := await self.receive()).startswith("SIP/2.0 1"):
            pass
        return reply

    async def receive(self, patience: float = 15.0) -> str:
        return await self.session.receive_str(timeout=patience)


@asynccontextmanager
async def websocket_phone(url: str, user: str) -> AsyncIterator[WebsocketPhone]:
    async with aiohttp.ClientSession() as client, client.ws_connect(url, protocols=("sip",)) as session:
        yield WebsocketPhone(session, user)


class NoteTaker(Gateway):
    """A media gateway that answers every offer and answer with an SDP of its own, and keeps what it was asked."""

    def __init__(self, port: int) -> None:
        self.asked: list[dict[str, Any]] = []
        super().__init__(port)

    def last(self, command: str) -> dict[str, Any]:
        return next(one for one in reversed(self.asked) if one["command"] == command)

    def _reply(self, request: bytes) -> bytes:
        asked = _text(bencodepy.decode(request))
        self.asked.append(asked)
        if asked["command"] not in ("offer", "answer"):
            return bytes(bencodepy.encode({"result": "pong" if asked["command"] == "ping" else "ok"}))
        protocol = asked.get("transport protocol") or asked.get("transport-protocol") or "RTP/AVP"
        return bytes(bencodepy.encode({"result": "ok", "sdp": GATEWAY_SDP.format(protocol)}))


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {_text(key): _text(item) for key, item in value.items()}
    return [_text(item) for item in value] if isinstance(value, list) else value
