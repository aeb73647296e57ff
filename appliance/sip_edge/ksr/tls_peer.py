"""TLS connections as the script sees them: whose certificate was shown, and how new connections are made.

Kamailio 5.6 verifies chain, dates and revocation while it shakes hands, and no name: that is done here. It has no hook
between handshake and first message, so the first request of a connection that we open has left when the peer's names
are seen; nothing that such a peer answers is taken, its connection is closed, and no further request goes there for a
while.
"""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.tls_peer import TlsPeer, matches, names_in

TLS, TLS_PORT = 3, 5061  # enum sip_protos: what $sndto(proto) says; RFC 3261 section 19.1.2
STRANGERS = "tlsstrangers"  # htable: addresses whose certificate had none of the names, for a minute


def names() -> tuple[str, ...]:
    """Names in the verified certificate of whoever sent this message; none without TLS or a verified certificate."""
    if say.transport() not in ("tls", "wss") or KSR.tls.is_peer_verified() < 0:
        return ()
    return names_in(str(KSR.pv.gete("$tls_peer_urlencoded_cert")))


def may_go(table: RoutingTable) -> bool:
    """Whether this branch of a request may leave. False: its next hop has lately shown a certificate with other names.
    (Asked here and not in `sends`: Kamailio 5.6 takes no "drop" from a Python onsend_route.)"""
    if not table.tls.peers:
        return True
    address, port = str(KSR.pv.gete("$nh(d)")).strip("[]"), KSR.pv.gete("$nh(p)") or TLS_PORT
    peer = _peer(table, address)
    if peer is None or not peer.names or KSR.htable.sht_get(STRANGERS, _key(address, port)) is None:
        return True
    say.count("tls_peer_name")
    say.event("tls_peer_name", reason="tls_peer_name", trunk=peer.trunk)
    return False


def sends(table: RoutingTable) -> None:
    """Before a request leaves: by which domain and name a new connection is made."""
    if not table.tls.peers or KSR.pv.get("$sndto(proto)") != TLS:
        return
    peer = _peer(table, str(KSR.pv.gete("$sndto(ip)")))
    if peer is None:
        return
    KSR.pv.sets("$xavp(tls=>server_id)", peer.trunk)
    if peer.server_name:
        KSR.pv.sets("$xavp(tls[0]=>server_name)", peer.server_name)


def takes(table: RoutingTable) -> bool:
    """Whether a reply comes from who it should. False: it was dropped and its connection closed (RFC 5922 section
    7.3)."""
    if not table.tls.peers or say.transport() != "tls":
        return True
    address = str(KSR.pv.gete("$si"))
    peer = _peer(table, address)
    if peer is None or not peer.names:
        return True
    presented = names()
    if matches(peer.names, presented):
        return True
    say.count("tls_peer_name")
    say.event("tls_peer_name", reason="tls_peer_name", trunk=peer.trunk, presented=list(presented))
    KSR.htable.sht_seti(STRANGERS, _key(address, KSR.pv.gete("$sp")), 1)
    KSR.tcpops.tcp_close_connection_id(KSR.pv.get("$conid"))
    KSR.set_drop()
    return False


def _peer(table: RoutingTable, address: str) -> TlsPeer | None:
    trunk = table.by_source(address)
    return table.tls.peer(trunk.name) if trunk else None


def _key(address: object, port: object) -> str:
    return f"{address}:{port}"
