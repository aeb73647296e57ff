"""Which trunk a request belongs to: pure look-ups over the table that `render` writes as JSON.

Runs inside Kamailio's embedded Python as well as in the control plane's own: standard library only.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass, field

from appliance.sip_edge.ksr import records
from appliance.sip_edge.ksr.rules.access import AccessRules
from appliance.sip_edge.ksr.rules.auth import AuthRules
from appliance.sip_edge.ksr.rules.balance import BalanceRules
from appliance.sip_edge.ksr.rules.flood import FloodRules
from appliance.sip_edge.ksr.rules.guard import GuardRules
from appliance.sip_edge.ksr.rules.limits import LimitRules
from appliance.sip_edge.ksr.rules.nat import NatRules
from appliance.sip_edge.ksr.rules.networks import Network, parsed
from appliance.sip_edge.ksr.rules.radius import RadiusRules
from appliance.sip_edge.ksr.rules.registrar import RegistrarRules
from appliance.sip_edge.ksr.rules.replication import ReplicationRules
from appliance.sip_edge.ksr.rules.routes import Route
from appliance.sip_edge.ksr.rules.streams import StreamRules
from appliance.sip_edge.ksr.rules.tls_peer import TlsRules
from appliance.sip_edge.ksr.rules.topology import TopologyRules
from appliance.sip_edge.ksr.rules.websocket import WebsocketRules

_URI = re.compile(r"^sips?:(?:[^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^:;?>]+)(?::(\d+))?(.*)$", re.IGNORECASE)


@dataclass(frozen=True)
class MediaPolicy:
    """One direction of a trunk's rtp_secure_media: its mode and the suites in order (empty: all, strongest first)."""

    mode: str = "forbidden"  # mandatory, optional, forbidden
    suites: tuple[str, ...] = ()
    stated: bool = True  # false: no setting says so, it is the default (row H06)


@dataclass(frozen=True)
class Trunk:
    """A peer of the SIP edge: whom it is recognised by, where its calls go, how its media is secured."""

    name: str
    match: tuple[str, ...] = ()  # source networks, CIDR
    destination: str = ""  # next hop for calls that come from this trunk
    uri: str = ""  # its own: where routes to it go
    authenticate: str = "address"  # address, digest, certificate
    peer_names: tuple[str, ...] = ()  # one of them is in its certificate
    listen: str = ""  # our socket towards it ("udp:10.0.0.1:5060"); empty: by route
    interface: str = "default"  # media interface that faces it
    inbound: MediaPolicy = field(default_factory=lambda: MediaPolicy("optional", stated=False))
    outbound: MediaPolicy = field(default_factory=lambda: MediaPolicy("forbidden", stated=False))
    flags: tuple[str, ...] = ()  # NG flags of its quirks (SDES-nopad, ...)
    sdes_over_cleartext: bool = False  # its keys may be seen in SIP without TLS
    secure_in: tuple[str, ...] = ()  # every spelling of the suites that bind the other leg to SRTP too (row H12)
    trust_identity: bool = False  # its P-Asserted-Identity and Remote-Party-ID are believed
    send_identity: str = "none"  # pai, rpid
    vbr: str = "forbid"  # variable bit rate codecs on secured media
    transcode: tuple[str, ...] = ()  # PCMA, PCMU: offered besides, made of each other
    sockets: tuple[str, ...] = ()  # of ours that its requests arrive on ("udp:10.0.0.1:5060"); empty: any
    realm: str = ""  # whose users its are; empty: as sip_auth says
    mode: str = "b2bua"  # or proxy: calls between two such trunks are only passed on
    srtp: str = "terminate"  # or transparent: SRTP passes with its keys between two trunks that both say so
    webrtc: str = "websocket"  # its legs are WebRTC ones: always, never, or where its SIP comes over WebSocket
    dtls: str = "accept"  # offer: SRTP is offered to it as DTLS-SRTP
    judging: tuple[str, ...] = ()  # NG flags about SDP that comes from it


@dataclass(frozen=True)
class RoutingTable:
    """Every trunk, and what the whole edge has to know."""

    trunks: tuple[Trunk, ...] = ()
    sockets: tuple[str, ...] = ()  # ours, without those for WebSocket: "udp:10.0.0.1:5060"
    sdes_requires_tls: bool = True
    user_agent: str = "srtpgw"
    ng: tuple[str, ...] = ()  # "127.0.0.1:2223"
    guard: GuardRules = field(default_factory=GuardRules)
    flood: FloodRules = field(default_factory=FloodRules)
    limits: LimitRules = field(default_factory=LimitRules)
    access: AccessRules = field(default_factory=AccessRules)
    routes: tuple[Route, ...] = ()
    auth: AuthRules = field(default_factory=AuthRules)
    radius: RadiusRules = field(default_factory=RadiusRules)
    registrar: RegistrarRules = field(default_factory=RegistrarRules)
    replication: ReplicationRules = field(default_factory=ReplicationRules)
    balance: BalanceRules = field(default_factory=BalanceRules)
    nat: NatRules = field(default_factory=NatRules)
    streams: StreamRules = field(default_factory=StreamRules)
    tls: TlsRules = field(default_factory=TlsRules)
    websocket: WebsocketRules = field(default_factory=WebsocketRules)
    topology: TopologyRules = field(default_factory=TopologyRules)
    former: tuple[Trunk, ...] = ()  # gone since the start: of calls that are up

    def by_source(self, address: str, socket: str = "") -> Trunk | None:
        """The trunk with the longest network around `address`; among equals one that is for `socket` (of ours, that the
        request arrived on; empty: any), then the first one."""
        found = [
            (network.prefixlen, socket in self.trunks[place].sockets, -place)
            for network, place in self._networks(address)
            if not (socket and self.trunks[place].sockets) or socket in self.trunks[place].sockets
        ]
        return self.trunks[-max(found)[2]] if found else None

    def by_realm(self, realm: str) -> Trunk | None:
        """The trunk whose users these are."""
        return next((trunk for trunk in self.trunks if trunk.realm and trunk.realm == realm.lower()), None)

    def by_name(self, name: str) -> Trunk | None:
        return next((trunk for trunk in (*self.trunks, *self.former) if trunk.name == name), None)

    def by_next_hop(self, uri: str) -> Trunk | None:
        """The trunk that a request to `uri` goes to: by address; of a name, the trunk whose own URI has that name, best
        with this port and transport too."""
        host = host_of(uri)
        named = [trunk for trunk in self.trunks if trunk.uri and host and same_name(host_of(trunk.uri), host)]
        return self.by_source(host) or max(
            named, key=lambda trunk: (_where(trunk.uri) == _where(uri), -self.trunks.index(trunk)), default=None
        )

    def _networks(self, address: str) -> list[tuple[Network, int]]:
        try:
            source = ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            return []
        return [
            (network, place)
            for place, trunk in enumerate(self.trunks)
            for network in parsed(trunk.match)
            if source.version == network.version and source in network
        ]


def host_of(uri: str) -> str:
    """Host part of a SIP URI without brackets; empty when it is none."""
    found = _URI.match(uri.strip().strip("<>"))
    return found[1].strip("[]") if found else ""


def port_of(uri: str) -> str:
    """Of a SIP URI; empty when it has none."""
    found = _URI.match(uri.strip().strip("<>"))
    return (found[2] or "") if found else ""


def same_name(one: str, other: str) -> bool:
    """Of hosts (RFC 4343)."""
    return one.lower().rstrip(".") == other.lower().rstrip(".")


def transport_of(uri: str) -> str:
    """Transport a request to `uri` takes: tls for sips, else its transport parameter, else udp."""
    if uri.lower().startswith("sips:"):
        return "tls"
    found = re.search(r";\s*transport=([a-z]+)", uri, re.IGNORECASE)
    return found[1].lower() if found else "udp"


def _where(uri: str) -> tuple[str, str]:
    return transport_of(uri), port_of(uri)


def dump(table: RoutingTable) -> str:
    return json.dumps(asdict(table), indent=1, sort_keys=True)


def load(text: str) -> RoutingTable:
    """The table that `dump` wrote. KeyError, TypeError, ValueError when it is not one."""
    return records.load(RoutingTable, json.loads(text))
