"""What an HTTP request must be to become a SIP session over WebSocket (RFC 6455 section 4.2.1, RFC 7118)."""

from __future__ import annotations

from dataclasses import dataclass

TRANSPORTS = frozenset({"ws", "wss"})
VERSION, PROTOCOL = "13", "sip"


@dataclass(frozen=True)
class WebsocketRules:
    """`sockets`: "ADDRESS:PORT" of ws and wss sockets; `enabled`: there are any."""

    enabled: bool = False
    sockets: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    require_origin: bool = False
    hosts: tuple[str, ...] = ()
    max_sessions: int = 1000


@dataclass(frozen=True)
class Handshake:
    """What a client asks for; header values as they came, empty when missing."""

    method: str
    at: str  # our socket, "ADDRESS:PORT"
    upgrade: str = ""
    version: str = ""
    protocols: str = ""
    origin: str = ""
    host: str = ""


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer; `rule` is the word for counter and event."""

    status: int
    phrase: str
    rule: str
    headers: tuple[str, ...] = ()


def judge(rules: WebsocketRules, asked: Handshake, sessions: int) -> Refusal | None:
    """None: let it in, with `sessions` that are there already."""
    if asked.at not in rules.sockets:
        return Refusal(404, "Not Found", "http_not_here")
    if asked.method != "GET" or "websocket" not in _words(asked.upgrade):
        return Refusal(426, "Upgrade Required", "http_no_websocket", ("Upgrade: websocket", "Connection: Upgrade"))
    if asked.version.strip() != VERSION:
        return Refusal(426, "Upgrade Required", "websocket_version", (f"Sec-WebSocket-Version: {VERSION}",))
    if PROTOCOL not in _words(asked.protocols):
        return Refusal(400, "Bad Request", "websocket_protocol", (f"Sec-WebSocket-Protocol: {PROTOCOL}",))
    if rules.hosts and _host(asked.host) not in rules.hosts:
        return Refusal(403, "Forbidden", "websocket_host")
    if not _from_here(rules, asked.origin.strip()):
        return Refusal(403, "Forbidden", "websocket_origin")
    if sessions >= rules.max_sessions:
        return Refusal(503, "Service Unavailable", "websocket_full", ("Retry-After: 10",))
    return None


def _from_here(rules: WebsocketRules, origin: str) -> bool:
    if not origin:
        return not rules.require_origin
    return not rules.origins or origin.lower().rstrip("/") in rules.origins


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]


def _host(text: str) -> str:
    """Without the port."""
    text = text.strip().lower()
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
