"""Whether a process answers: the smallest exchange of each protocol."""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path

PATIENCE_S = 0.5


def unix_socket(path: Path) -> bool:
    """A stream socket at `path` accepts a connection."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect(str(path))
    except OSError:
        return False
    return True


def ng(host: str, port: int) -> bool:
    """An NG ping comes back as pong."""
    cookie = secrets.token_hex(6)
    reply = _datagram(host, port, f"{cookie} {json.dumps({'command': 'ping'})}".encode())
    return reply.startswith(cookie.encode()) and b"pong" in reply


def sip(host: str, port: int) -> bool:
    """A SIP OPTIONS over UDP is answered, whatever the answer."""
    branch = secrets.token_hex(8)
    message = (
        f"OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:0;branch=z9hG4bK{branch};rport\r\n"
        f"Max-Forwards: 10\r\nFrom: <sip:up@{host}>;tag={branch[:6]}\r\nTo: <sip:{host}:{port}>\r\n"
        f"Call-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    return _datagram(host, port, message.encode()).startswith(b"SIP/2.0 ")


def _datagram(host: str, port: int, message: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect((host, port))
            link.send(message)
            return link.recv(65535)
    except OSError:
        return b""
