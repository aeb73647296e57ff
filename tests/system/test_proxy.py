"""Row P03 on the wire: calls that are only passed on, beside calls whose sides are hidden from each other."""

from __future__ import annotations

import contextlib
import re
import signal
import sqlite3
from collections.abc import Iterator

import pytest

from tests.system.kamailio_rig import Edge, Phone, running
from tests.system.lab import wait_for
from tests.system.targets import HOST, Gateway, header, response

pytestmark = [pytest.mark.system, pytest.mark.row("P03", "P09"), pytest.mark.timeout(60)]

PORT, CALLEE = 33_080, 33_090
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.21\r\ns=-\r\nc=IN IP4 127.0.0.21\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    "a=x-of-the-caller:yes\r\n"
)
TYPE = "Content-Type: application/sdp"
PROXY, HIDDEN, CALLED = "127.0.0.21", "127.0.0.22", "127.0.0.23"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Two callers, one callee: the first and the callee are in mode `proxy`."""
    gateway = Gateway(PORT + 1)
    trunks = [
        {"name": "server", "match": [f"{PROXY}/32"], "mode": "proxy", "destination": f"sip:{CALLED}:{CALLEE}"},
        {"name": "phones", "match": [f"{HIDDEN}/32"], "destination": f"sip:{CALLED}:{CALLEE}"},
        {"name": "core", "match": [f"{CALLED}/32"], "mode": "proxy"},
    ]
    with running(tmp_path_factory.mktemp("proxy"), PORT, trunks=trunks) as started:
        yield started
    gateway.close()


def begun(caller: Phone, callee: Phone, body: str = SDP) -> tuple[str, str, str]:
    """A call that is up: the INVITE as it was sent and as it came, and the answer as the caller has it."""
    sent = caller.request("INVITE", "bob", headers=[TYPE, "User-Agent: of the caller"] if body else [], body=body)
    caller.send(sent)
    came = callee.receive(2.0)
    assert came.startswith("INVITE "), came
    contact = f"Contact: <sip:bob@{callee.at[0]}:{callee.at[1]}>\r\n"
    callee.send(response(came, 200, f"{contact}User-Agent: of the callee\r\n"))
    answer = caller.receive()
    while answer.startswith("SIP/2.0 1"):
        answer = caller.receive()
    assert answer.startswith("SIP/2.0 200"), answer
    caller.send(within("ACK", caller, sent, answer))
    assert callee.receive(2.0).startswith("ACK ")
    return sent, came, answer


def within(method: str, sender: Phone, invite: str, answer: str, number: int = 1) -> str:
    """A request of the caller's in the dialog."""
    routes = re.findall(r"^Record-Route:[ \t]*(.*?)\r?$", answer, re.MULTILINE | re.IGNORECASE)
    route = "".join(f"Route: {one}\r\n" for one in reversed(routes))
    branch = f"z9hG4bK{method}{number}{header(invite, 'Call-ID')[:8]}"
    return (
        f"{method} {header(answer, 'Contact').strip('<>')} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {sender.at[0]}:{sender.at[1]};branch={branch};rport\r\nMax-Forwards: 70\r\n{route}"
        f"From: {header(invite, 'From')}\r\nTo: {header(answer, 'To')}\r\nCall-ID: {header(invite, 'Call-ID')}\r\n"
        f"CSeq: {number} {method}\r\nContact: {header(invite, 'Contact')}\r\nContent-Length: 0\r\n\r\n"
    )


def test_a_call_is_passed_on_as_it_is(edge: Edge) -> None:
    """Call-ID, Contact, Via, User-Agent and SDP of either side arrive at the other one; we are in the route. A killed
    Kamailio passes the BYE on all the same."""
    with Phone(PORT, PROXY) as caller, Phone(PORT, CALLED, CALLEE) as callee:
        sent, came, answer = begun(caller, callee)
        for name in ("Call-ID", "Contact", "From", "To", "User-Agent"):
            assert header(came, name) == header(sent, name)
        assert came.partition("\r\n\r\n")[2] == SDP and f"{PROXY}:{caller.at[1]};" in came
        assert f"<sip:{HOST}:{PORT}" in header(came, "Record-Route") and header(came, "Max-Forwards") == "69"
        assert header(answer, "Contact") == f"<sip:bob@{CALLED}:{CALLEE}>"
        assert header(answer, "User-Agent") == "of the callee"
        wait_for(lambda: _stored(edge), 5, edge.log)
        edge.stop(signal.SIGKILL)
        edge.start()
        caller.send(within("BYE", caller, sent, answer, 2))
        bye = callee.receive(2.0)
        assert bye.startswith("BYE ") and header(bye, "Call-ID") == header(sent, "Call-ID")
        callee.send(response(bye, 200))
        assert caller.receive(2.0).startswith("SIP/2.0 200")
    states = [one["state"] for one in edge.events("sip_call") if one["call_id"] == header(sent, "Call-ID")]
    assert states == ["NEW", "INIT", "ROUTING", "ANSWERED", "HANGUP"]


def test_one_side_alone_shows_nothing(edge: Edge) -> None:
    """The caller's trunk hides: so the callee's does not matter."""
    with Phone(PORT, HIDDEN) as caller, Phone(PORT, CALLED, CALLEE) as callee:
        sent, came, answer = begun(caller, callee, "")
        assert header(came, "Call-ID") != header(sent, "Call-ID") and HIDDEN not in came
        assert CALLED not in header(answer, "Contact") and "of the callee" not in answer
        caller.send(within("BYE", caller, sent, answer, 2))
        callee.send(response(callee.receive(2.0), 200))
        assert caller.receive(2.0).startswith("SIP/2.0 200")


def test_a_callee_that_refuses(edge: Edge) -> None:
    with Phone(PORT, PROXY) as caller, Phone(PORT, CALLED, CALLEE) as callee:
        caller.send(caller.request("INVITE", "bob", headers=[TYPE], body=SDP))
        callee.send(response(callee.receive(2.0), 486))
        reply = caller.receive(2.0)
        while reply.startswith("SIP/2.0 1"):
            reply = caller.receive(2.0)
        assert reply.startswith("SIP/2.0 486")


def _stored(edge: Edge) -> bool:
    """The dialog is in the database as one that is up, with what we know of it."""
    with contextlib.closing(sqlite3.connect(edge.config.database, timeout=10)) as link:
        up = link.execute("SELECT hash_id FROM dialog WHERE state = 4").fetchall()
        known = link.execute("SELECT hash_id FROM dialog_vars WHERE dialog_key = 'proxied'").fetchall()
    return bool(set(up) & set(known))
