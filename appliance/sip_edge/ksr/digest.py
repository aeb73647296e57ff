"""Digest authentication of users (row J06): challenge, look up the hash, compare, remember the nonce count.

A wrong password and an unknown user are answered alike.
"""

from __future__ import annotations

import time

import KSR

from appliance.sip_edge.ksr import radius, read, say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules import auth
from appliance.sip_edge.ksr.rules.auth import NONCES, AuthRules, Credentials, Verdict

MOST_HEADERS = 4  # of several realms and algorithms in one request
DATABASE, RESULT = "auth", "auth_result"  # of the module sqlops


class DatabaseSilent(Exception):
    """Nobody can be let in, and nobody told that a password was wrong."""


def authenticate(table: RoutingTable, realm: str) -> str | None:
    """The user who proved its password; None: challenged or refused already."""
    rules = table.auth
    if table.radius.passwords:
        return radius.authenticate(table, rules.realm or realm)
    if not rules.enabled:
        say.refuse(403, "Forbidden", "digest_off")
        return None
    realm, now = rules.realm or realm, time.time()
    given = _given(realm)
    try:
        verdict = _verdict(rules, given, now)
    except DatabaseSilent:
        say.refuse(503, "Service Unavailable", "auth_database")
        return None
    if given is None or verdict in (Verdict.ABSENT, Verdict.STALE):
        _challenge(rules, realm, now, stale=verdict is Verdict.STALE)
        return None
    if verdict is Verdict.WRONG:
        say.refuse(403, "Forbidden", "auth_wrong", user=given.username)
        return None
    KSR.hdr.remove(_header())  # ours to check, nobody else's to see
    if rules.check_from and given.username != read.text("$tU" if _registers() else "$fU"):
        say.refuse(403, "Forbidden", "auth_other_user", user=given.username)
        return None
    return given.username


def heard_us(table: RoutingTable, realm: str) -> bool:
    """Whether a request has a nonce of ours, made lately: its sender, or an accomplice, got an answer from us."""
    rules = table.auth
    given = _given(rules.realm or realm) if rules.enabled else None
    if given is None:
        return False
    old = auth.age(rules.secret, given.realm, given.nonce, time.time())
    return old is not None and 0 <= old <= rules.nonce_expire_s


def is_user(table: RoutingTable, user: str, domain: str) -> bool:
    """Whether there is such a user; where RADIUS knows them, any name may be one; False where nobody can say."""
    if table.radius.passwords:
        return True
    if not table.auth.enabled or not (auth.plain(user) and auth.plain(domain)):
        return False
    query = f"SELECT username FROM subscriber WHERE username = '{user}' AND domain = '{domain}'"
    try:
        return _first(query) != ""
    except DatabaseSilent:
        return False


def _verdict(rules: AuthRules, given: Credentials | None, now: float) -> Verdict:
    if given is None:
        return Verdict.ABSENT
    verdict = auth.verify(rules, given, read.text("$rm"), _hash_of(given), now)
    if verdict is Verdict.RIGHT and not _counts_on(rules, given):
        return Verdict.STALE
    return verdict


def _given(realm: str) -> Credentials | None:
    """The first credentials for this realm."""
    for place in range(MOST_HEADERS):
        text = read.text(f"$(hdr({_header()})[{place}])")
        if not text:
            return None
        found = auth.read(text)
        if found is not None and found.realm == realm:
            return found
    return None


def _hash_of(given: Credentials) -> str:
    """HA1 in the database; "" for nobody. DatabaseSilent. Names have no character that SQL would read (rules.auth)."""
    where = f"username = '{given.username}' AND domain = '{given.realm}'"
    if given.algorithm == "MD5":
        query = f"SELECT {'ha1b' if given.with_domain else 'ha1'} FROM subscriber WHERE {where}"
    else:
        query = f"SELECT ha1 FROM subscriber_ha1 WHERE {where} AND algorithm = '{given.algorithm}'"
    return _first(query)


def _first(query: str) -> str:
    """First column of the first row; "" without one. DatabaseSilent."""
    if KSR.sqlops.sql_query(DATABASE, query, RESULT) < 0:
        raise DatabaseSilent
    found = KSR.sqlops.sql_num_rows(RESULT) > 0
    value = str(KSR.sqlops.sql_result_gete(RESULT, 0, 0)) if found else ""
    KSR.sqlops.sql_result_free(RESULT)
    return value


def _counts_on(rules: AuthRules, given: Credentials) -> bool:
    """RFC 7616 section 3.4: a nonce count that was used is a replay. Remembered only of proven passwords."""
    KSR.htable.sht_lock(NONCES, given.nonce)
    try:
        last = int(KSR.htable.sht_get(NONCES, given.nonce) or 0)
        if given.nc <= last:
            return False
        KSR.htable.sht_setxi(NONCES, given.nonce, given.nc, rules.nonce_expire_s)
        return True
    finally:
        KSR.htable.sht_unlock(NONCES, given.nonce)


def _challenge(rules: AuthRules, realm: str, now: float, *, stale: bool) -> None:
    """401 to a REGISTER, whose server we are; 407 to what we relay (RFC 3261 section 22)."""
    name = "WWW-Authenticate" if _registers() else "Proxy-Authenticate"
    for value in auth.challenges(rules, realm, now, stale=stale):
        KSR.hdr.append_to_reply(f"{name}: {value}\r\n")
    say.count("auth_challenged")
    say.reply(*((401, "Unauthorized") if _registers() else (407, "Proxy Authentication Required")))


def _header() -> str:
    return "Authorization" if _registers() else "Proxy-Authorization"


def _registers() -> bool:
    return bool(KSR.pv.gete("$rm") == "REGISTER")
