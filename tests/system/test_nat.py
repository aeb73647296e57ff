"""Peers behind NAT on the wire: what they name themselves nobody reaches, requests find them all the same (row K09)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.kamailio_rig import Phone, running
from tests.system.targets import Gateway, header, response

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

PORT, CALLEE = 27870, 27878
PRIVATE = "10.99.99.99:5060"


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[tuple[Phone, Phone]]:
    """A caller and a callee who both call themselves by an address that does not exist here."""
    gateway = Gateway(PORT + 1)
    trunk = {"name": "peers", "match": ["127.0.0.0/8"], "destination": f"sip:127.0.0.3:{CALLEE}"}
    with running(tmp_path, PORT, trunks=[trunk]), Phone(PORT) as caller, Phone(PORT, "127.0.0.3", CALLEE) as callee:
        yield caller, callee
    gateway.close()


def test_both_sides_are_found_where_they_are(peers: tuple[Phone, Phone]) -> None:
    """K09, P05: rport and received in the answer's Via; ACK reaches the callee, the callee's BYE the caller."""
    caller, callee = peers
    invite = caller.request("INVITE", contact=f"<sip:me@{PRIVATE}>")
    hidden = invite.replace(f"Via: SIP/2.0/UDP {caller.at[0]}:{caller.at[1]}", f"Via: SIP/2.0/UDP {PRIVATE}")
    caller.send(hidden)
    heard = callee.receive()
    assert heard.startswith("INVITE ") and PRIVATE not in heard
    callee.send(response(heard, 200, f"Contact: <sip:callee@{PRIVATE}>\r\n"))
    answer = caller.receive()
    while answer.startswith("SIP/2.0 1"):
        answer = caller.receive()
    assert answer.startswith("SIP/2.0 200") and PRIVATE not in header(answer, "Contact")
    via = header(answer, "Via")
    assert f"received={caller.at[0]}" in via and f"rport={caller.at[1]}" in via
    caller.send(_within("ACK", caller, header(hidden, "From"), header(answer, "To"), answer))
    assert callee.receive().startswith("ACK ")
    callee.send(_within("BYE", callee, header(answer, "To"), header(heard, "From"), heard))
    bye = caller.receive()
    assert bye.startswith("BYE ") and header(bye, "Call-ID") == header(hidden, "Call-ID")


def _within(method: str, sender: Phone, whose: str, to: str, seen: str) -> str:
    """A request in the dialog, as one side sees it: its Contact, routes and Call-ID from `seen`."""
    target = re.search(r"<([^>]*)>", header(seen, "Contact"))
    assert target
    routes = "".join(f"Route: {one}\r\n" for one in re.findall(r"^Record-Route: *(.*?)\r?$", seen, re.MULTILINE))
    return (
        f"{method} {target[1]} SIP/2.0\r\nVia: SIP/2.0/UDP {sender.at[0]}:{sender.at[1]};branch=z9hG4bK{method}n\r\n"
        f"Max-Forwards: 70\r\nFrom: {whose}\r\nTo: {to}\r\nCall-ID: {header(seen, 'Call-ID')}\r\nCSeq: 1 {method}\r\n"
        f"{routes}Content-Length: 0\r\n\r\n"
    )
