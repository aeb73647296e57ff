"""Passwords by a RADIUS server (row J10): Kamailio's challenge (MD5), the server's verdict. It is asked about what has
a nonce of ours, and waited for."""

from __future__ import annotations

import time

import KSR

from appliance.sip_edge.ksr import read, say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.radius import ACCOUNTED, ERROR, INTERNAL, REJECTED

QOP_AUTH = 1  # flags of a challenge


def authenticate(table: RoutingTable, realm: str) -> str | None:
    """The user who proved its password; None: challenged or refused already."""
    registers = bool(KSR.pv.gete("$rm") == "REGISTER")
    ask = KSR.auth_radius.www_authorize if registers else KSR.auth_radius.proxy_authorize
    began = time.monotonic()
    outcome = table.radius.outcome(int(ask(realm)), time.monotonic() - began)
    if outcome == REJECTED:
        say.refuse(403, "Forbidden", "auth_wrong", user=read.text("$au"))
    elif outcome in (ERROR, INTERNAL):
        say.refuse(503, "Service Unavailable", "auth_radius")
    elif outcome < 0:
        say.count("auth_challenged")
        KSR.auth.auth_challenge(realm, QOP_AUTH)  # 401 to a REGISTER, 407 to others
    else:
        return _user(table, registers=registers)
    return None


def account(table: RoutingTable) -> None:
    """This transaction, of a call's beginning or end, is told to the accounting server."""
    if table.radius.accounting:
        KSR.setflag(ACCOUNTED)


def _user(table: RoutingTable, *, registers: bool) -> str | None:
    user = read.text("$au")
    KSR.hdr.remove("Authorization" if registers else "Proxy-Authorization")  # ours to check, nobody else's to see
    if table.auth.check_from and user != read.text("$tU" if registers else "$fU"):
        say.refuse(403, "Forbidden", "auth_other_user", user=user)
        return None
    return user
