"""The demonstration call without SIP: offer, answer and delete put to the gateway over NG."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

from appliance.config.types import HostPort
from appliance.demo.established import CallFailed, Established, offered_spelling, read_sdp
from appliance.demo.media import LocalPorts
from appliance.protocols.srtp.suites import Suite

PATIENCE_S = 3.0
FLAGS: dict[str, Any] = {"ICE": "remove", "DTLS": "off", "replace": ["origin", "session-connection"]}


@contextlib.contextmanager
def place(at: HostPort, suite: Suite, caller: LocalPorts, callee: LocalPorts) -> Iterator[Established]:
    """A call that is up inside the `with` block. CallFailed."""
    call: dict[str, Any] = {"call-id": secrets.token_hex(12), "from-tag": secrets.token_hex(6)}
    key = os.urandom(suite.master_octets)
    began = time.monotonic()
    wanted = {"transport-protocol": "RTP/SAVP", "SDES": [f"only-{suite.name}"]}
    offer = read_sdp(_ask(at, {**call, **FLAGS, **wanted, "command": "offer", "sdp": _plain(caller)})["sdp"])
    try:
        spelling = offered_spelling(offer, suite)
        call["to-tag"] = secrets.token_hex(6)
        inline = base64.b64encode(key).decode()
        secure = _sdp(callee, "RTP/SAVP", [f"a=crypto:{offer.tags[spelling]} {spelling} inline:{inline}"])
        answer = read_sdp(_ask(at, {**call, **FLAGS, "command": "answer", "sdp": secure})["sdp"])
        yield Established(answer, offer, suite, offer.keys[spelling], key, (time.monotonic() - began) * 1000)
    finally:
        _ask(at, {**call, "command": "delete"})


def _plain(ports: LocalPorts) -> str:
    return _sdp(ports, "RTP/AVP", [])


def _sdp(ports: LocalPorts, protocol: str, attributes: list[str]) -> str:
    family = "IP6" if ":" in ports.host else "IP4"
    lines = ["v=0", f"o=demo 1 1 IN {family} {ports.host}", "s=-", f"c=IN {family} {ports.host}", "t=0 0",
             f"m=audio {ports.rtp} {protocol} 0", "a=rtpmap:0 PCMU/8000", *attributes, "a=sendrecv"]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


def _ask(at: HostPort, request: dict[str, Any]) -> dict[str, Any]:
    cookie = secrets.token_hex(8)
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect((at.host, at.port))
            link.send(f"{cookie} {json.dumps(request)}".encode())
            reply: dict[str, Any] = json.loads(link.recv(65535).decode().partition(" ")[2])
    except OSError as error:
        raise CallFailed(f"the gateway does not answer on NG {at}: {error}") from error
    if reply.get("result") != "ok":
        raise CallFailed(
            f"the gateway refused {request['command']}: {reply.get('error-reason') or reply.get('result')}"
        )
    return reply
