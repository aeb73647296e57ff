"""Anti-flood: bans and pike (rows M01-M13). The first thing that every message meets, so it does little.

octets:  banned source -> gone, unparsed
request: known source -> passes, uncounted;  counted -> newly too many: ban, one alert, swallowed
"""

from __future__ import annotations

import time

import KSR

from appliance.sip_edge.ksr import access, say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.flood import BANS, COUNTS, LENGTHS, FloodRules, around, canonical, is_known

STILL, NEWLY = -1, -2  # of pike_check_req


def banned(table: RoutingTable) -> bool:
    """Whether octets come from a banned source (M06): they are dropped before anybody parses them."""
    if not table.flood.enabled:
        return False
    source = canonical(str(KSR.pv.get("$rcv(srcip)")))
    if not _listed(source):
        lengths = str(KSR.htable.sht_gete(BANS, LENGTHS[6 if ":" in source else 4]))  # control keeps them
        if not any(_listed(network) for network in around(source, lengths)):
            return False
    KSR.dbg(f"request from blocked IP {source}\n")
    say.drop("flood_banned")
    return True


def check(table: RoutingTable) -> bool:
    """False: the request was swallowed; there is no reply to it and no transaction of it."""
    rules = table.flood
    if not rules.enabled:
        return True
    source = str(KSR.pv.gete("$si"))
    if KSR.is_myself_srcip() > 0 or is_known(rules.known, source) or access.gateway(table):  # M07, M08
        return True
    verdict = _count_exactly(rules, source) if rules.exact else KSR.pike.pike_check_req()
    if verdict == NEWLY:
        _ban(rules, source)
    elif verdict == STILL:  # the ban was lifted, or another process is about to set it
        say.drop("flood_still")
    return verdict > 0


def _count_exactly(rules: FloodRules, source: str) -> int:
    """As pike answers; an entry lives for one sampling unit from its first request on."""
    count = KSR.htable.sht_inc(COUNTS, source)
    if count == rules.density + 1:
        return NEWLY
    return STILL if count > rules.density else 1


def _listed(name: str) -> bool:
    return bool(KSR.htable.sht_is_null(BANS, name) < 0)


def _ban(rules: FloodRules, source: str) -> None:
    """M09: one alert for each detection; control hears of it and tells the kernel (M13). The value is the ban's end:
    a control process that was not there to hear finds it in the table."""
    KSR.htable.sht_setxi(BANS, canonical(source), int(time.time()) + rules.ban_s, rules.ban_s)
    say.count("flood_detected")
    KSR.xlog.xalert("ALERT: pike blocking $rm from $fu (IP:$si:$sp)\n")
    say.event("banned", reason="flood", seconds=rules.ban_s)
