"""REGISTER, and calls to whoever registered (rows L01-L08).

block -> domain -> permissions -> password -> block forgotten -> binding saved
"""

from __future__ import annotations

import time

import KSR

from appliance.sip_edge.ksr import access, digest, read, say, sessions
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules import registrar as rules
from appliance.sip_edge.ksr.rules.registrar import BLOCKS, LOCATION, Attempts, BlockRules, Judgement
from appliance.sip_edge.ksr.rules.telling import Telling
from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS
from appliance.sip_edge.ksr.table_sizes import TableSizes

FOUND = 1  # of lookup
_SIZES = TableSizes()
_TELLING = Telling()  # a flood of blocked requests must not write our log


def register(table: RoutingTable) -> int:
    """Answer a REGISTER."""
    ours = table.registrar
    if not ours.enabled:
        return say.refuse(404, "Not Found", "no_registrar")
    user, domain = read.text("$tU"), read.text("$td")
    # Whose password is tried, as in the reference; who tries none is counted as whom he says he is.
    counted = rules.key(ours.block, read.text("$au") or user, str(KSR.pv.gete("$si")))
    if ours.block.enabled and _counts(table, domain, counted) and _blocked(ours.block, counted):
        return 1
    realm = table.by_realm(domain)
    if realm is None and not rules.is_ours(ours, domain):
        return say.refuse(403, "Forbidden", "foreign_domain")
    if realm is not None and realm.sockets and read.socket() not in realm.sockets:
        return say.refuse(403, "Forbidden", "foreign_realm")
    own = realm.realm if realm else ""
    if not access.may_register(table) or digest.authenticate(table, domain, own=own) is None:
        return 1
    if ours.block.enabled:  # before `save` answers: the phone's next request may be handled by another process
        KSR.htable.sht_rm(BLOCKS, counted)
    in_session = say.transport() in TRANSPORTS
    contact, before = read.text("$(ct{nameaddr.uri})"), ""
    if in_session:  # calls go to where it really is (RFC 7118 section 5: its Contact is a name that nobody looks up)
        before = sessions.known(f"sip:{user}@{domain}", contact)
        KSR.nathelper.fix_nated_register()
    if KSR.registrar.save(LOCATION, 0) < 0:  # it has answered
        say.count("register_not_saved")
        return 1
    if in_session:
        sessions.remember(f"sip:{user}@{domain}", contact, before)
    return 1


def lookup(table: RoutingTable) -> str:
    """Set the Request-URI, and a branch for each further phone, to where the called user is registered; the domain that
    this is a user of. Empty: nobody there, and the call was answered."""
    if not table.registrar.enabled:
        say.refuse(404, "Not Found", "no_registrar")
        return ""
    user, host = read.text("$rU"), read.text("$rd")
    here = str(KSR.pv.gete("$Ri")).strip("[]")  # sockets may be those of every address
    domains = rules.meant(table.registrar, host, (*table.topology.ours, here))
    for domain in domains:
        if domain != host:
            KSR.pv.sets("$rd", domain)
        if KSR.registrar.lookup(LOCATION) == FOUND:
            return domain
    known = any(digest.is_user(table, user, domain) for domain in domains)
    say.refuse(*((480, "Temporarily Unavailable", "not_registered") if known else (404, "Not Found", "no_such_user")))
    return ""


def _counts(table: RoutingTable, domain: str, counted: str) -> bool:
    """Whether this one is counted. False: it would be one entry too many (a flood from forged sources); it is told and
    handled all the same, for pike and the password are still there."""
    if KSR.htable.sht_is_null(BLOCKS, counted) < 0:
        return True
    heard_us = digest.heard_us(table, domain)
    if rules.room(table.registrar.block, _SIZES.entries(BLOCKS), heard_us=heard_us):
        _SIZES.added(BLOCKS)
        return True
    say.count("register_uncounted")
    if (unsaid := _TELLING.ask("uncounted", time.monotonic())) is not None:
        say.event("register_uncounted", reason="register_uncounted", heard_us=heard_us, unsaid=unsaid)
    return False


def _blocked(block: BlockRules, counted: str) -> bool:
    """Count the attempt; True when it was refused: without a transaction, a password or a look-up (row L08)."""
    now = int(time.time())
    KSR.htable.sht_lock(BLOCKS, counted)  # two processes may have one phone's requests; one entry, so one lock
    try:
        verdict, after = rules.judge(block, _attempts(counted), now)
        if verdict is not Judgement.ALREADY:
            KSR.htable.sht_sets(BLOCKS, counted, rules.written(after))
    finally:
        KSR.htable.sht_unlock(BLOCKS, counted)
    if verdict is Judgement.HANDLED:
        return False
    if verdict is Judgement.BLOCKED:
        KSR.xlog.xnotice("$fU@$fd - REGISTER - $au User Blocked for Exceeded Register Requests.\n")
        say.event("register_blocked", reason="register_blocked", key=counted, seconds=block.block_s)
        say.refuse(403, "Blocked Forbidden", "register_blocked", key=counted)
    else:
        if _TELLING.ask("already", time.monotonic()) is not None:
            KSR.xlog.xnotice("$fU@$fd - REGISTER - $au User Already Blocked for Exceeded Register Requests.\n")
        say.refuse(403, "Already Blocked Forbidden", "register_already_blocked", key=counted)
    return True


def _attempts(counted: str) -> Attempts:
    return rules.read(str(KSR.htable.sht_gete(BLOCKS, counted)))
