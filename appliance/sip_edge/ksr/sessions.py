"""Where phones are that registered over WebSocket: in which session, and in which one now when it was another.

A network that changes takes a browser's connection, not its page, nor its calls: the page opens another session and
registers the same Contact there (RFC 7118, RFC 5626 section 4.4). Requests of its dialogs, which still name the peer of
the old session, follow it.

    REGISTER       -> known        where the Contact was registered before
    REGISTER saved -> remember     peer -> user, binding;  binding -> peer;  contact -> peer;  earlier peer -> peer
    session over   -> ended        the binding goes, unless it is another session's by now
    request within -> follows      earlier peer -> ... -> peer
    session opened -> opened       nobody else's requests come to it because it has an earlier one's address and port
"""

from __future__ import annotations

import hashlib

import KSR

from appliance.sip_edge.ksr.routing import RoutingTable, host_of, port_of
from appliance.sip_edge.ksr.rules.registrar import LOCATION, SESSIONS

MOVED = "moved "  # in front of a peer: where it is now
MOST_MOVES = 8  # that are followed
FETCHED = "was"  # profile of reg_fetch_contacts


def known(uri: str, contact: str) -> str:
    """Before it is saved: the peer that the Contact was registered from last; empty: it is a new one. The binding tells
    after a restart of Kamailio, whose sessions were all of before."""
    before = str(KSR.htable.sht_gete(SESSIONS, _name(uri, contact)))
    if before or KSR.registrar.reg_fetch_contacts(LOCATION, uri, FETCHED) < 0:
        return before
    for place in range(int(KSR.pv.get(f"$(ulc({FETCHED}=>count))") or 0)):
        if KSR.pv.gete(f"$(ulc({FETCHED}=>addr)[{place}])") == contact:
            was = str(KSR.pv.gete(f"$(ulc({FETCHED}=>received)[{place}])"))
            before = f"{host_of(was)}:{port_of(was)}" if was else ""
    KSR.registrar.reg_free_contacts(FETCHED)
    return before


def remember(uri: str, contact: str, before: str) -> None:
    """What was saved. `uri`: the user's, who proved a password; `contact`: the URI that is registered; `before`: as
    `known` said."""
    binding = str(KSR.pv.gete("$xavp(rcd=>ruid)"))
    if not binding:  # it unregistered
        return
    peer = _peer()
    for key, value in ((peer, f"{uri} {binding}"), (binding, peer), (_name(uri, contact), peer)):
        KSR.htable.sht_sets(SESSIONS, key, value)
    KSR.htable.sht_rm(SESSIONS, f"{MOVED}{peer}")
    if before and before != peer:
        KSR.htable.sht_sets(SESSIONS, f"{MOVED}{before}", peer)


def opened(table: RoutingTable) -> None:
    """A session, before anything is said in it."""
    if table.registrar.enabled:
        KSR.htable.sht_rm(SESSIONS, f"{MOVED}{_peer()}")


def ended(table: RoutingTable) -> None:
    """Nobody can be called in it any more. One who registered again in another session, as a page does that was loaded
    anew, stays."""
    if not table.registrar.enabled:
        return
    peer = _peer()
    uri, _, binding = str(KSR.htable.sht_gete(SESSIONS, peer)).rpartition(" ")
    if not binding:
        return
    KSR.htable.sht_rm(SESSIONS, peer)
    if str(KSR.htable.sht_gete(SESSIONS, binding)) == peer:
        KSR.registrar.unregister_ruid(LOCATION, uri, binding)
        KSR.htable.sht_rm(SESSIONS, binding)


def follows(table: RoutingTable) -> None:
    """The next hop ($du) is a session's peer, by its alias: where that is now."""
    named = str(KSR.pv.gete("$du"))
    if not (table.registrar.enabled and named):
        return
    first = peer = f"{host_of(named)}:{port_of(named)}"
    for _ in range(MOST_MOVES):
        peer = str(KSR.htable.sht_gete(SESSIONS, f"{MOVED}{peer}")) or peer
    if peer != first:
        host, _, port = peer.rpartition(":")
        host = f"[{host}]" if ":" in host else host
        KSR.pv.sets("$du", f"sip:{host}:{port}{named[named.index(';') :] if ';' in named else ''}")


def _name(uri: str, contact: str) -> str:
    return hashlib.sha256(f"{uri} {contact}".encode()).hexdigest()


def _peer() -> str:
    return f"{str(KSR.pv.gete('$si')).strip('[]')}:{KSR.pv.gete('$sp')}"
