"""SIP over WebSocket (RFC 7118): HTTP requests in, sessions out, and the way back to peers that nobody can call.

A browser's Contact is a name that does not exist (`x.invalid`). The address that it really has goes along as a
parameter (`alias`, module nathelper), through topology hiding, and comes back with each request to it; the connection
that is there is used.
"""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import read, say, sessions
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS, Handshake, Refusal, judge

POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1
ALIAS_FOUND = 1  # of handle_ruri_alias
TARGETS = ("INVITE", "UPDATE", "SUBSCRIBE", "REFER")  # whose Contact is where the sender is called from now on


def http(table: RoutingTable) -> int:
    """An HTTP request on any TCP or TLS socket."""
    asked = Handshake(
        method=read.text("$rm"), at=read.at(),
        upgrade=_header("Upgrade"), version=_header("Sec-WebSocket-Version"),
        protocols=_header("Sec-WebSocket-Protocol"), origin=_header("Origin"), host=_header("Host"),
    )  # fmt: skip
    refusal = judge(table.websocket, asked, int(KSR.pv.get("$stat(ws_current_connections)") or 0))
    if refusal is not None:
        return _refuse(refusal, asked)
    sessions.opened(table)
    KSR.websocket.handle_handshake()  # 101, or 400 for a missing key
    return 1


def arrives(method: str) -> None:
    """A request of a session: remember where its Contact really is."""
    if method in TARGETS and say.transport() in TRANSPORTS:
        KSR.nathelper.set_contact_alias()


def answers() -> None:
    """A reply of a session: the same."""
    if say.transport() in TRANSPORTS:
        KSR.nathelper.set_contact_alias()


def finds(table: RoutingTable) -> None:
    """A request within a dialog whose target is such a peer goes to where it really is."""
    if KSR.nathelper.handle_ruri_alias() == ALIAS_FOUND:
        sessions.follows(table)


def ban() -> None:
    """The sender of this message may not be here: its session ends with it."""
    if say.transport() in TRANSPORTS:
        KSR.websocket.close_reason(POLICY_VIOLATION, "banned")


def _refuse(refusal: Refusal, asked: Handshake) -> int:
    if refusal.rule.startswith("websocket"):
        say.refused(refusal.rule, status=refusal.status, origin=asked.origin[:200], host=asked.host[:200])
    else:
        say.count(refusal.rule)
    for header in refusal.headers:
        KSR.hdr.append_to_reply(f"{header}\r\n")
    KSR.set_reply_close()
    KSR.set_reply_no_connect()
    KSR.xhttp.xhttp_reply(refusal.status, refusal.phrase, "text/plain", f"{refusal.phrase}\r\n")
    return 1


def _header(name: str) -> str:
    return read.text(f"$hdr({name})")
