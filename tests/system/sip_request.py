"""One SIP request by UDP to a SIP edge on loopback, for tests that look at what happens beside the reply."""

from __future__ import annotations

import secrets
import socket


def ask(port: int, method: str, call_id: str = "", *, user: str = "alice", domain: str = "example.org",
        headers: str = "", patience: float = 1.0) -> str:  # fmt: skip
    """The first reply to a request out of any dialog; empty when there is none. `headers`: whole lines."""
    request = (
        f"{method} sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{secrets.token_hex(6)}\r\n"
        f"From: <sip:{user}@{domain}>;tag={secrets.token_hex(4)}\r\nTo: <sip:{user}@{domain}>\r\n"
        f"Call-ID: {call_id or secrets.token_hex(8)}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{headers}"
        "Content-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(patience)
        try:
            link.connect(("127.0.0.1", port))
            link.send(request.encode())
            return link.recv(65_536).decode()
        except OSError:
            return ""


def options(host: str, port: int, to: str) -> bytes:
    """An OPTIONS from there."""
    return (
        f"OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{secrets.token_hex(6)};rport\r\n"
        f"From: <sip:me@{host}>;tag={secrets.token_hex(4)}\r\nTo: <sip:{to}>\r\nCall-ID: {secrets.token_hex(8)}\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()
