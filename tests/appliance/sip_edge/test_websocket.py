"""HTTP requests that want to be WebSockets (RFC 6455, RFC 7118)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.schema import Settings
from appliance.sip_edge.areas import websocket as area
from appliance.sip_edge.areas.area import Places
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.websocket import Handshake, WebsocketRules, judge
from tests.appliance.sip_edge.fake_ksr import FakeKSR

RULES = WebsocketRules(True, ("192.0.2.1:443", "[2001:db8::1]:443"), ("https://phone.example",), False,
                       ("sip.example.org", "2001:db8::1"), 10)  # fmt: skip
GOOD = Handshake("GET", "192.0.2.1:443", "websocket", "13", "sip", "https://phone.example", "sip.example.org:443")


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"upgrade": "WebSocket"}, {"protocols": "msrp, SIP"}, {"origin": "https://Phone.example/"}, {"origin": ""},
        {"host": "SIP.example.org"}, {"host": "[2001:db8::1]:443", "at": "[2001:db8::1]:443"},
    ],
)  # fmt: skip
def test_let_in(changes: dict[str, str]) -> None:
    assert judge(RULES, replace(GOOD, **changes), 9) is None


@pytest.mark.parametrize(
    ("changes", "status", "rule"),
    [
        ({"at": "192.0.2.1:5060"}, 404, "http_not_here"),
        ({"upgrade": ""}, 426, "http_no_websocket"),
        ({"upgrade": "h2c"}, 426, "http_no_websocket"),
        ({"method": "POST"}, 426, "http_no_websocket"),
        ({"version": "8"}, 426, "websocket_version"),
        ({"version": ""}, 426, "websocket_version"),
        ({"protocols": "sipx"}, 400, "websocket_protocol"),
        ({"host": "evil.example"}, 403, "websocket_host"),
        ({"host": ""}, 403, "websocket_host"),
        ({"origin": "https://evil.example"}, 403, "websocket_origin"),
        ({"origin": "https://phone.example.evil.example"}, 403, "websocket_origin"),
        ({"origin": "null"}, 403, "websocket_origin"),
    ],
)
def test_refused(changes: dict[str, str], status: int, rule: str) -> None:
    refusal = judge(RULES, replace(GOOD, **changes), 0)
    assert refusal is not None and (refusal.status, refusal.rule) == (status, rule)


def test_too_many_and_browsers_only() -> None:
    full = judge(RULES, GOOD, 10)
    assert full is not None and (full.status, full.rule) == (503, "websocket_full")
    strict = replace(RULES, require_origin=True)
    refusal = judge(strict, replace(GOOD, origin=""), 0)
    assert refusal is not None and refusal.rule == "websocket_origin"


def test_off_is_off() -> None:
    """A table that says nothing: every HTTP request is refused."""
    refusal = judge(WebsocketRules(), GOOD, 0)
    assert refusal is not None and refusal.status == 404


def ask(ksr: FakeKSR, asked: Handshake) -> None:
    address, _, port = asked.at.rpartition(":")
    ksr.variables |= {"$rm": asked.method, "$Ri": address, "$Rp": port, "$hdr(Upgrade)": asked.upgrade,
                      "$hdr(Sec-WebSocket-Version)": asked.version, "$hdr(Sec-WebSocket-Protocol)": asked.protocols,
                      "$hdr(Origin)": asked.origin, "$hdr(Host)": asked.host}  # fmt: skip


def test_the_script_answers_http(ksr: FakeKSR) -> None:
    """Status, counter, event and the end of the connection."""
    from appliance.sip_edge.ksr import websocket

    ask(ksr, replace(GOOD, origin="https://evil.example"))
    websocket.http(RoutingTable(websocket=RULES))
    assert ksr.called("xhttp.xhttp_reply")[0][:2] == (403, "Forbidden")
    assert ksr.called("htable.sht_inc") == [("rules", "websocket_origin")]
    assert '"reason": "websocket_origin"' in ksr.log[-1]
    assert not ksr.called("websocket.handle_handshake")


def test_the_script_opens_sessions(ksr: FakeKSR) -> None:
    from appliance.sip_edge.ksr import websocket

    ask(ksr, GOOD)
    websocket.http(RoutingTable(websocket=RULES))
    assert ksr.called("websocket.handle_handshake") == [()]
    assert not ksr.called("xhttp.xhttp_reply")


@pytest.mark.parametrize(
    ("transport", "method", "marked"),
    [("ws", "INVITE", 1), ("wss", "UPDATE", 1), ("wss", "BYE", 0), ("tls", "INVITE", 0)],
)
def test_contacts_of_sessions_are_marked(ksr: FakeKSR, transport: str, method: str, marked: int) -> None:
    """RFC 7118 section 5: the way back to x.invalid is the connection."""
    from appliance.sip_edge.ksr import websocket

    ksr.variables["$proto"] = transport
    websocket.arrives(method)
    assert len(ksr.called("nathelper.set_contact_alias")) == marked


def test_a_banned_session_ends(ksr: FakeKSR) -> None:
    from appliance.sip_edge.ksr import websocket

    ksr.variables["$proto"] = "udp"
    websocket.ban()
    assert not ksr.called("websocket.close_reason")
    ksr.variables["$proto"] = "wss"
    websocket.ban()
    assert ksr.called("websocket.close_reason") == [(1008, "banned")]


@pytest.mark.row("I09")
def test_sockets_for_websocket_come_last() -> None:
    """Kamailio's first TLS socket is the one that connections to TLS peers are opened from."""
    listen = ["wss:192.0.2.1:443", "udp:192.0.2.1:5060", "tls:198.51.100.1:5061"]
    settings = Settings.model_validate({"sip": {"listen": listen, "certificate": "/x", "key": "/y"}})
    assert area.core_sockets(settings.sip.listen) == (
        "udp:192.0.2.1:5060", "tls:198.51.100.1:5061", "tls:192.0.2.1:443",
    )  # fmt: skip


def test_pings_do_not_tell_what_we_are(tmp_path: Path) -> None:
    """Kamailio's own text is its name and version."""
    (tmp_path / "websocket.so").touch()
    settings = Settings.model_validate({"sip": {"listen": ["ws:192.0.2.1:80"], "user_agent": "a gateway"}})
    found = area.area(settings, Places(tmp_path, tmp_path, "")).parameters
    assert ("websocket", "ping_application_data", "a gateway") in found
