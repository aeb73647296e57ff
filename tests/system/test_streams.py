"""Connections that never bring a SIP message (K10, security-and-faults G6), TCP and WebSocket, on the wire."""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.kamailio_rig import Edge, Phone, counted, running
from tests.system.lab import wait_for
from tests.system.targets import HOST

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.row("K10")]

PORT, WS = 32560, 32562
DRIPPING = 200


@pytest.fixture
def edge(tmp_path: Path, sip_programs: None) -> Iterator[Edge]:
    listen = [f"udp:{HOST}:{PORT}", f"tcp:{HOST}:{PORT}", f"ws:{HOST}:{WS}"]
    with running(tmp_path, PORT, sip={"listen": listen}, sip_tcp={"first_request_s": 2}) as started:
        yield started


def over(link: socket.socket) -> bool:
    """Whether the edge has closed this connection; what it sent before is read and forgotten."""
    link.setblocking(False)
    try:
        return link.recv(65535) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def options(transport: str, link: socket.socket) -> bytes:
    host, port = link.getsockname()
    lines = [
        f"OPTIONS sip:{HOST} SIP/2.0", f"Via: SIP/2.0/{transport} {host}:{port};branch=z9hG4bK{os.urandom(6).hex()}",
        "Max-Forwards: 70", f"From: <sip:a@{HOST}>;tag=1", f"To: <sip:a@{HOST}>", f"Call-ID: {os.urandom(6).hex()}",
        "CSeq: 1 OPTIONS", "Content-Length: 0",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def asked(link: socket.socket, transport: str = "TCP") -> bytes:
    """What OPTIONS is answered on this connection."""
    link.setblocking(True)
    link.settimeout(5)
    message = options(transport, link)
    link.sendall(frame(message) if transport == "WS" else message)
    return link.recv(65535)


def frame(payload: bytes) -> bytes:
    """A masked text frame (RFC 6455 section 5.2)."""
    mask = os.urandom(4)
    masked = bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(payload)) + mask + masked


def session() -> socket.socket:
    """A WebSocket."""
    link = socket.create_connection((HOST, WS), timeout=5)
    key = base64.b64encode(os.urandom(16)).decode()
    link.sendall(
        f"GET / HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert link.recv(4096).startswith(b"HTTP/1.1 101")
    return link


def test_silence_ends_a_connection_and_a_request_keeps_it(edge: Edge) -> None:
    """The good one is the oldest, and there when all others are gone."""
    with closing(socket.create_connection((HOST, PORT))) as good, closing(session()) as phone:
        assert b"SIP/2.0 200" in asked(good)
        assert b"SIP/2.0 200" in asked(phone, "WS")
        silent = [socket.create_connection((HOST, PORT)), session()]
        wait_for(lambda: all(map(over, silent)), 15, "a silent connection lives on")
        assert b"SIP/2.0 200" in asked(good)
        assert b"SIP/2.0 200" in asked(phone, "WS")
        for link in silent:
            link.close()


def test_octets_are_no_request(edge: Edge) -> None:
    """G6: many connections that drip are ended in their time; nobody on UDP notices."""
    links = [socket.create_connection((HOST, PORT)) for _ in range(DRIPPING)]
    rest = {link: iter(b"OPTIONS sip:a SIP/2.0\r\n" + b"X: y\r\n" * 400) for link in links}
    with Phone(PORT) as phone:
        assert phone.status(phone.request()) == 200

        def drip() -> bool:
            for link in [one for one in rest if over(one)]:
                del rest[link]
            for link, octets in rest.items():
                link.setblocking(True)
                try:
                    link.sendall(bytes([next(octets)]))
                except ConnectionError:
                    continue
            assert phone.status(phone.request()) == 200
            return not rest

        wait_for(drip, 20, lambda: f"{len(rest)} connections that drip live on")
    assert counted(edge, "stream_silent") >= DRIPPING
    for link in links:
        link.close()
    wait_for(lambda: edge.rpc("core.tcp_info")["opened_connections"] == 0, 10, "connections are still there")
