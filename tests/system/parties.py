"""Two SIP endpoints that say what a test wants them to say, octet by octet, and keep everything that they hear.

Each side of the edge has a network of its own in 127.0.0.0/8, so that one regular expression finds whatever of it shows
on the other side: 127.0.20.0/24 (access: the edge is .1, the party .2) and 127.0.30.0/24 (core).
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

ACCESS, CORE = "127.0.20.", "127.0.30."
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Message:
    """A SIP message as it came."""

    text: str

    @property
    def start(self) -> str:
        return self.text.partition("\r\n")[0]

    @property
    def method(self) -> str:
        """Of a request; of a reply that of its CSeq."""
        return self["CSeq"].split()[1]

    @property
    def status(self) -> int:
        """0: a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/") else 0

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]

    def all(self, name: str) -> list[str]:
        head = self.text.partition("\r\n\r\n")[0]
        return re.findall(rf"^{name}:[ \t]*(.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)

    def __getitem__(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def tag(self, name: str) -> str:
        found = re.search(r";tag=([^;\s]+)", self[name])
        return found[1] if found else ""


@dataclass
class Dialog:
    """One party's view (RFC 3261 section 12)."""

    call_id: str
    local: str  # From or To as this party writes it, with its tag
    remote: str
    target: str
    routes: Sequence[str]
    number: int = 1


@dataclass
class Party:
    """A UDP socket at `address`:`port`; what it sends goes to the edge at `edge`. `extra`: lines in all it sends."""

    address: str
    port: int
    edge: tuple[str, int]
    extra: Sequence[str] = ()
    heard: list[Message] = field(default_factory=list)
    waiting: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.link.bind((self.address, self.port))

    def close(self) -> None:
        self.link.close()

    @property
    def contact(self) -> str:
        return f"sip:party@{self.address}:{self.port}"

    def send(self, text: str) -> None:
        self.link.sendto(text.encode(), self.edge)

    def hears(self, what: str | int, patience: float = PATIENCE_S) -> Message:
        """The next request with this method or reply with this status; others wait. Retransmissions are passed over."""
        limit = time.monotonic() + patience
        while True:
            for message in self.waiting:
                if what in (message.status, message.method if not message.status else None):
                    self.waiting.remove(message)
                    return message
            self.link.settimeout(max(0.01, limit - time.monotonic()))
            try:
                message = Message(self.link.recv(65535).decode())
            except TimeoutError:
                heard = [one.start for one in self.heard[-8:]]
                raise AssertionError(f"{self.address} did not hear {what}; last it heard {heard}") from None
            if message.text not in {one.text for one in self.heard}:
                self.waiting.append(message)
            self.heard.append(message)

    def silent(self, what: str | int, patience: float = 0.3) -> bool:
        try:
            self.hears(what, patience)
        except AssertionError:
            return True
        return False

    def request(self, method: str, uri: str, sender: str, to: str, call_id: str, number: int, *,
                lines: Sequence[str] = (), body: str = "", kind: str = "application/sdp",
                branch: str = "") -> str:  # fmt: skip
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch={branch or 'z9hG4bK' + secrets.token_hex(8)}",
            "Max-Forwards: 70", f"From: {sender}", f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {number} {method}",
            *lines, *self.extra,
            *([f"Contact: <{self.contact}>"] if method in ("INVITE", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE") else []),
            *([f"Content-Type: {kind}"] if body else []), f"Content-Length: {len(body.encode())}",
        ]  # fmt: skip
        return "\r\n".join(head) + "\r\n\r\n" + body

    def calls(self, user: str = "bob", *, lines: Sequence[str] = (), body: str = "", method: str = "INVITE",
              kind: str = "application/sdp", call_id: str = "") -> Call:  # fmt: skip
        """Send an INVITE (or another request) outside any dialog."""
        call = Call(self, user, call_id or f"{secrets.token_hex(6)}@{self.address}", method)
        call.invite = self.request(method, call.uri, call.sender, call.to, call.call_id, 1, lines=lines, body=body,
                                   kind=kind, branch=call.branch)  # fmt: skip
        self.send(call.invite)
        return call

    def answer(self, request: Message, status: int, *, body: str = "", lines: Sequence[str] = (), tag: str = "",
               kind: str = "application/sdp", contact: bool = True) -> Message:  # fmt: skip
        """Reply to a request; the reply, from which `dialog_of` makes this party's dialog."""
        to = request["To"]
        if ";tag=" not in to and status > 100:
            to += f";tag={tag or 'b' + secrets.token_hex(4)}"
        head = [
            f"SIP/2.0 {status} As Wished", *(f"Via: {via}" for via in request.all("Via")),
            *(f"Record-Route: {one}" for one in request.all("Record-Route")), f"From: {request['From']}", f"To: {to}",
            f"Call-ID: {request['Call-ID']}", f"CSeq: {request['CSeq']}", *lines, *self.extra,
            *([f"Contact: <{self.contact}>"] if contact else []), *([f"Content-Type: {kind}"] if body else []),
            f"Content-Length: {len(body.encode())}",
        ]  # fmt: skip
        text = "\r\n".join(head) + "\r\n\r\n" + body
        self.send(text)
        return Message(text)

    def within(self, dialog: Dialog, method: str, *, body: str = "", lines: Sequence[str] = (),
               kind: str = "application/sdp", number: int = 0) -> str:  # fmt: skip
        """A request in a dialog; its Via branch."""
        if not number:
            dialog.number += 1
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        routes = [f"Route: {route}" for route in dialog.routes]
        self.send(self.request(
            method, dialog.target, dialog.local, dialog.remote, dialog.call_id, number or dialog.number,
            lines=[*routes, *lines], body=body, kind=kind, branch=branch,
        ))  # fmt: skip
        return branch


@dataclass
class Call:
    """A request outside any dialog, seen from who sent it."""

    party: Party
    user: str
    call_id: str
    method: str
    invite: str = ""

    def __post_init__(self) -> None:
        self.branch, tag = f"z9hG4bK{secrets.token_hex(8)}", f"a{secrets.token_hex(4)}"
        host, port = self.party.edge
        self.uri = f"sip:{self.user}@{host}:{port}"
        self.sender, self.to = f"<sip:alice@{self.party.address}>;tag={tag}", f"<{self.uri}>"

    def dialog(self, reply: Message) -> Dialog:
        """What a reply with a To-tag makes of it."""
        return Dialog(self.call_id, self.sender, reply["To"], _uri(reply["Contact"]),
                      [one for one in reversed(reply.all("Record-Route")) if f"@{self.party.address}" not in one
                       and f"sip:{self.party.address}" not in one])  # fmt: skip

    def acknowledge(self, reply: Message) -> None:
        """The ACK of a refusal, in the INVITE's transaction."""
        self.party.send(
            self.party.request("ACK", self.uri, self.sender, reply["To"], self.call_id, 1, branch=self.branch)
        )

    def cancel(self) -> None:
        self.party.send(
            self.party.request("CANCEL", self.uri, self.sender, self.to, self.call_id, 1, branch=self.branch)
        )


def dialog_of(request: Message, reply: Message) -> Dialog:
    """The called party's dialog."""
    return Dialog(request["Call-ID"], reply["To"], request["From"], _uri(request["Contact"]),
                  request.all("Record-Route"), 100)  # fmt: skip


def _uri(contact: str) -> str:
    found = re.search(r"<([^>]*)>", contact)
    return found[1] if found else contact


def sdp(address: str, port: int, *, protocol: str = "RTP/AVP", crypto: Sequence[str] = (), version: int = 1) -> str:
    """An offer or answer that says where its sender is in every place that SDP has for it."""
    lines = [
        "v=0", f"o=inner 1 {version} IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
        f"m=audio {port} {protocol} 0", f"c=IN IP4 {address}", "a=rtpmap:0 PCMU/8000",
        f"a=rtcp:{port + 1} IN IP4 {address}",
        f"a=candidate:1 1 UDP 2130706431 {address} {port} typ host", "a=sendrecv",
        *(f"a=crypto:{line}" for line in crypto),
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"
