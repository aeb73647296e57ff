"""Small SIP endpoints for tests of destinations: what they answer can be changed while they run. UDP on loopback."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

HOST = "127.0.0.1"
SILENT = 0
MARK = "X-Call"  # carries a call's id past the edge, which masks its Call-ID


@dataclass(eq=False)
class Target:
    """One destination. Statuses by method; SILENT: no answer; `delay_s` goes before each answer."""

    port: int
    invite: int = 200
    options: int = 200
    delay_s: float = 0.0
    lose: Callable[[int], bool] = lambda serial: False  # which datagrams are lost, by their number
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = False
        self._socket = self._bind(self.port)
        self._serial = 0
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"sip:{HOST}:{self.port}"

    def count(self, method: str) -> int:
        return sum(message.startswith(f"{method} ") for message in self.heard)

    def calls(self) -> int:
        """Calls that came: INVITEs, without retransmissions."""
        return len({header(message, "Call-ID") for message in self.heard if message.startswith("INVITE ")})

    def had(self, call_id: str) -> bool:
        """Whether the call with this id came here."""
        return any(header(message, MARK) == call_id for message in self.heard)

    def close(self) -> None:
        self._stop = True
        self._socket.close()
        self._thread.join(2)

    @staticmethod
    def _bind(port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
        made.settimeout(0.1)
        return made

    def _serve(self, link: socket.socket) -> None:
        while not self._stop:
            try:
                text, peer = link.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            message = text.decode()
            self._serial += 1
            if self.lose(self._serial):
                continue
            self.heard.append(message)
            if self.delay_s:
                time.sleep(self.delay_s)
            for reply in self._replies(message):
                with contextlib.suppress(OSError):  # closed meanwhile
                    link.sendto(reply.encode(), peer)

    def _replies(self, message: str) -> list[str]:
        method = message.split(" ", 1)[0]
        if method == "CANCEL":
            invite = next((one for one in reversed(self.heard) if one.startswith("INVITE ")
                           and header(one, "Call-ID") == header(message, "Call-ID")), message)  # fmt: skip
            return [response(message, 200), response(invite, 487)]
        status = {"INVITE": self.invite, "OPTIONS": self.options, "ACK": SILENT}.get(method, 200)
        if status == SILENT:
            return []
        return [response(message, status, f"Contact: <sip:callee@{HOST}:{self.port}>\r\n")]


def response(request: str, status: int, more: str = "") -> str:
    copied = "".join(
        f"{line}\r\n" for line in request.split("\r\n\r\n")[0].split("\r\n")[1:]
        if re.match(r"(Via|From|To|Call-ID|CSeq|Record-Route):", line, re.IGNORECASE)
    )  # fmt: skip
    if status > 100 and not re.search(r"^To:.*;tag=", copied, re.MULTILINE | re.IGNORECASE):
        copied = re.sub(r"^(To:[^\r]*)", rf"\1;tag={secrets.token_hex(4)}", copied, flags=re.MULTILINE)
    return f"SIP/2.0 {status} Test\r\n{copied}{more}Content-Length: 0\r\n\r\n"


def header(message: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(.*?)\r?$", message, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


class Caller:
    """Makes calls to the edge, one after the other or many at a time, and knows what became of each."""

    def __init__(self, port: int, edge: tuple[str, int]) -> None:
        self.port, self.edge = port, edge
        self._link = Target._bind(port)

    def close(self) -> None:
        self._link.close()

    def call(self, call_id: str = "", patience: float = 5.0, cancel_after: float = 0.0, headers: str = "",
             user: str = "alice") -> Call:  # fmt: skip
        """Send an INVITE, wait for its final reply, acknowledge it."""
        call = Call(self, call_id or secrets.token_hex(8), headers, user)
        self.send(call.invite)
        if cancel_after:
            time.sleep(cancel_after)
            self.send(call.request("CANCEL", call.branch))
        call.wait(patience)
        return call

    def send(self, message: str) -> None:
        self._link.sendto(message.encode(), self.edge)

    def receive(self, patience: float) -> str:
        self._link.settimeout(max(0.01, patience))
        return self._link.recv(65535).decode()

    def statuses(self, number: int) -> Counter[int]:
        return Counter(self.call().status for _ in range(number))


class Call:
    """One call of a Caller."""

    def __init__(self, caller: Caller, call_id: str, headers: str, user: str) -> None:
        self.caller, self.call_id, self.user = caller, call_id, user
        self.branch, self.tag = f"z9hG4bK{secrets.token_hex(8)}", secrets.token_hex(4)
        self.status, self.reply, self.number = 0, "", 1
        self.began, self.took_s = time.monotonic(), 0.0
        contact = f"Contact: <sip:{user}@{HOST}:{caller.port}>\r\n"
        self.invite = self.request("INVITE", self.branch, f"{contact}{MARK}: {call_id}\r\n{headers}")

    def request(self, method: str, branch: str = "", more: str = "", uri: str = "", body: str = "") -> str:
        host, port = self.caller.edge
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        if method not in ("INVITE", "ACK", "CANCEL"):
            self.number += 1
        number = self.number if method not in ("INVITE", "ACK", "CANCEL") else 1
        within = method not in ("INVITE", "CANCEL") and self.reply
        to = header(self.reply, "To") if within else f"<sip:bob@{host}:{port}>"
        return (
            f"{method} {uri or f'sip:bob@{host}:{port}'} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {HOST}:{self.caller.port};branch={branch}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:{self.user}@{HOST}>;tag={self.tag}\r\nTo: {to}\r\nCall-ID: {self.call_id}\r\n"
            f"CSeq: {number} {method}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def wait(self, patience: float) -> None:
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            try:
                message = self.caller.receive(limit - time.monotonic())
            except TimeoutError:
                return
            found = re.match(r"SIP/2\.0 (\d{3})", message)
            if not found or header(message, "Call-ID") != self.call_id or " INVITE" not in header(message, "CSeq"):
                continue
            if int(found[1]) >= 200:
                self.status, self.reply = int(found[1]), message
                self.took_s = time.monotonic() - self.began
                self._acknowledge()
                return

    def hang_up(self) -> None:
        self.caller.send(self._within("BYE"))

    def ask(self, method: str, kind: str, body: str, patience: float = 5.0) -> int:
        """Status of the reply to a request with a body in the dialog."""
        self.caller.send(self._within(method, f"Content-Type: {kind}\r\n", body))
        limit = time.monotonic() + patience
        while True:
            reply = self.caller.receive(limit - time.monotonic())
            if reply.startswith("SIP/2.0 ") and f" {method}" in header(reply, "CSeq") and reply[8] != "1":
                return int(reply[8:11])

    def _acknowledge(self) -> None:
        self.caller.send(self._within("ACK") if self.status < 300 else self.request("ACK", self.branch))

    def _within(self, method: str, more: str = "", body: str = "") -> str:
        routes = re.findall(r"^Record-Route:[ \t]*(.*?)\r?$", self.reply, re.MULTILINE | re.IGNORECASE)
        route = "".join(f"Route: {one}\r\n" for one in reversed(routes))
        contact = header(self.reply, "Contact").strip("<>")
        return self.request(method, more=route + more, uri=contact, body=body)


class Gateway:
    """Says yes to whatever Kamailio's rtpengine module asks (NG): these calls have no media."""

    def __init__(self, port: int) -> None:
        self._link = Target._bind(port)
        self._stop = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop = True
        self._link.close()
        self._thread.join(2)

    def took(self, text: bytes) -> None:
        """A message that came."""

    def _serve(self) -> None:
        while not self._stop:
            try:
                text, peer = self._link.recvfrom(65535)
            except TimeoutError:
                continue
            except OSError:
                return
            self.took(text)
            cookie, _, request = text.partition(b" ")
            self._link.sendto(cookie + b" " + self._reply(request), peer)

    def _reply(self, request: bytes) -> bytes:
        word = b"pong" if b"4:ping" in request else b"ok"
        return b"d6:result%d:%be" % (len(word), word)
