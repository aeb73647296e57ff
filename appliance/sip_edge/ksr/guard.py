"""What no route ever sees: scanners, messages too large or malformed, loops, methods that we do not speak (rows K01,
K02, K03, I07)."""

from __future__ import annotations

from dataclasses import dataclass

import KSR

from appliance.sip_edge.ksr import read, say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.guard import GuardRules, Sizes, is_scanner, too_large

KNOWN_METHODS = frozenset(say.ALLOW.split(", "))


@dataclass(frozen=True)
class Arrived:
    """A message as it arrived, before topology hiding put its own headers back: octets, request line and headers."""

    size: int = 0
    head: str = ""


def arrived(table: RoutingTable) -> Arrived:
    """Of the octets that are about to be parsed."""
    if not table.guard.sized:
        return Arrived()
    return Arrived(int(KSR.pv.get("$rcv(len)") or 0), read.text("$rcv(buf)").partition("\r\n\r\n")[0])


def admits(table: RoutingTable, message: Arrived) -> bool:
    """False when the request was answered or dropped here."""
    rules = table.guard
    if rules.scanners and is_scanner(rules, read.text("$ua")):
        say.drop("scanner")
        return False
    if rules.sized and (refusal := too_large(rules.over(say.transport()), _sizes(message))) is not None:
        say.refuse(*refusal)
        return False
    if KSR.maxfwd.process_maxfwd(70) < 0:
        say.refuse(483, "Too Many Hops", "too_many_hops")
        return False
    if KSR.sanity.sanity_check(rules.checks, rules.uri_checks) < 0:  # it has answered what can be answered
        say.refused("malformed")
        return False
    if KSR.pv.gete("$rm") not in KNOWN_METHODS:
        say.refuse(405, "Method Not Allowed", "method_not_allowed")
        return False
    return True


def admits_reply(rules: GuardRules) -> bool:
    """False: a reply that must not go on (row K02)."""
    if KSR.sanity.sanity_check(rules.reply_checks, rules.reply_uri_checks) < 0:
        say.drop("malformed_reply")
        return False
    return True


def _sizes(message: Arrived) -> Sizes:
    uris = tuple(len(read.text(name)) for name in ("$fu", "$tu"))
    method, target = len(read.text("$rm")), len(read.text("$ru"))
    return Sizes(message.size, int(KSR.pv.get("$bs") or 0), message.head, method, target, uris)
