"""A telephone of a second WebRTC stack at the SIP edge: aiortc's media, SIP over WebSocket (RFC 7118) by hand.

Its session lives on the event loop of its media, in the namespace of its role.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
from pathlib import Path

import aiohttp

from tests.system.digest_client import answer, challenges
from tests.system.parties import Dialog, Message, dialog_of
from tests.system.webrtc.aiortc_phone import AiortcPhone

PATIENCE_S = 15.0


class SessionPhone(AiortcPhone):
    """`said`: G.711 codes that it plays; `user` of `domain` with `password`; `trusted`: a file of authorities."""

    def __init__(self, role: str, said: bytes, user: str, domain: str, password: str, trusted: Path) -> None:
        super().__init__(role, said)
        self.user, self.domain, self.password = user, domain, password
        self.own = f"sip:{user}@{domain}"
        self.contact = f"<sip:{user}@{secrets.token_hex(6)}.invalid;transport=ws>"
        self.dialog: Dialog | None = None
        self._tls = ssl.create_default_context(cafile=str(trusted))
        self._client: aiohttp.ClientSession | None = None

    def connect(self, url: str, origin: str) -> None:
        """A session, and the registration in it."""
        self.do(self._connect(url, origin))
        reply = self.do(self._proven("REGISTER", f"sip:{self.domain}", self.own, secrets.token_hex(8)))
        assert reply.status == 200, reply.text

    def call(self, target: str) -> str:
        """Of somebody who answers; the gateway's SDP."""
        sdp, call_id = self.offer(), secrets.token_hex(8)
        reply = self.do(self._proven("INVITE", target, target, call_id, sdp))
        assert reply.status == 200, reply.text
        sender = self._from
        contact = reply["Contact"].strip("<>")
        self.dialog = Dialog(call_id, sender, reply["To"], contact, list(reversed(reply.all("Record-Route"))), 2)
        self.do(self._send(self._within("ACK", 2)))
        self.accept(reply.body)
        return reply.body

    def answers(self) -> str:
        """The next call; the SDP that it was offered."""
        invite = self.do(self._hears("INVITE"))
        sdp = self.answer(invite.body)
        reply = self._reply(invite, 200, sdp)
        self.dialog = dialog_of(invite, Message(reply))
        self.do(self._send(reply))
        self.do(self._hears("ACK"))
        return invite.body

    def hang_up(self) -> None:
        assert self.dialog is not None
        self.dialog.number += 1
        self.do(self._send(self._within("BYE", self.dialog.number)))
        self.do(self._hears("200 BYE"))

    def hung_up(self) -> None:
        """By the other side."""
        bye = self.do(self._hears("BYE"))
        self.do(self._send(self._reply(bye, 200)))

    def close(self) -> None:
        if self._client is not None:
            self.do(self._client.close())
        super().close()

    async def _connect(self, url: str, origin: str) -> None:
        self._client = aiohttp.ClientSession()
        self._session = await self._client.ws_connect(url, protocols=("sip",), ssl=self._tls, origin=origin)

    async def _proven(self, method: str, uri: str, to: str, call_id: str, body: str = "") -> Message:
        """The final reply to a request and, when asked for a password, to the one with it."""
        self._from = f"<{self.own}>;tag={secrets.token_hex(4)}"
        proof: list[str] = []
        for number in (1, 2):
            await self._send(self._request(method, uri, self._from, f"<{to}>", call_id, number, proof, body))
            reply = await self._hears(f"final {method}")
            if reply.status not in (401, 407):
                return reply
            proof = [answer(challenges(reply.text)[0], self.user, self.password, method, uri)]
            if method == "INVITE":
                branch = reply["Via"].rpartition("branch=")[2].partition(";")[0]  # RFC 3261 section 17.1.1.3
                await self._send(self._request("ACK", uri, self._from, reply["To"], call_id, number, [], branch=branch))
        return reply

    def _within(self, method: str, number: int) -> str:
        dialog = self.dialog
        assert dialog is not None
        routes = [f"Route: {route}" for route in dialog.routes]
        return self._request(method, dialog.target, dialog.local, dialog.remote, dialog.call_id, number, routes)

    def _request(self, method: str, uri: str, sender: str, to: str, call_id: str, number: int, lines: list[str],
                 body: str = "", branch: str = "") -> str:  # fmt: skip
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        head = [
            f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/WSS x.invalid;branch={branch}",
            "Max-Forwards: 70", f"From: {sender}", f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {number} {method}",
            f"Contact: {self.contact}", *lines, *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body.encode())}",
        ]  # fmt: skip
        return "\r\n".join(head) + "\r\n\r\n" + body

    def _reply(self, request: Message, status: int, body: str = "") -> str:
        to = request["To"] if ";tag=" in request["To"] else f"{request['To']};tag={secrets.token_hex(4)}"
        head = [
            f"SIP/2.0 {status} OK", *(f"Via: {one}" for one in request.all("Via")),
            *(f"Record-Route: {one}" for one in request.all("Record-Route")), f"From: {request['From']}", f"To: {to}",
            f"Call-ID: {request['Call-ID']}", f"CSeq: {request['CSeq']}", f"Contact: {self.contact}",
            *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body.encode())}",
        ]  # fmt: skip
        return "\r\n".join(head) + "\r\n\r\n" + body

    async def _send(self, text: str) -> None:
        await self._session.send_str(text)

    async def _hears(self, what: str) -> Message:
        """The next request of this method, or reply: "200 BYE", "final INVITE"; others are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = Message(await self._session.receive_str())
                names = {message.method} if not message.status else {f"{message.status} {message.method}"}
                if message.status >= 200:
                    names.add(f"final {message.method}")
                if what in names:
                    return message
