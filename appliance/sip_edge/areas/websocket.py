"""SIP over WebSocket: Kamailio's xhttp takes the HTTP request, websocket the session (RFC 7118)."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config.schema import Settings
from appliance.config.types import SipListen
from appliance.sip_edge.areas.area import Area, MissingModule, Places
from appliance.sip_edge.ksr.rules.websocket import WebsocketRules

CORE = {"ws": "tcp", "wss": "tls"}  # Kamailio listens for TCP or TLS: what becomes a WebSocket, it learns from HTTP
PING, SIP = 1, 1  # keepalive_mechanism: ping frames; sub_protocols: sip alone


def core_socket(socket: SipListen) -> str:
    """A socket of sip.listen as Kamailio's core has it."""
    return f"{CORE.get(socket.transport, socket.transport)}:{socket.at}"


def core_sockets(sockets: Iterable[SipListen]) -> tuple[str, ...]:
    """All of them, those for WebSocket last: Kamailio opens TCP and TLS connections from its first socket of the kind,
    and no browser can be called through one that it did not open."""
    return tuple(core_socket(socket) for socket in sorted(sockets, key=lambda socket: socket.transport in CORE))


def area(settings: Settings, places: Places) -> Area:
    """Nothing without ws and wss sockets. MissingModule."""
    if not rules(settings).enabled:
        return Area()
    if not (places.modules / "websocket.so").exists():
        raise MissingModule("sip.listen has ws or wss: install kamailio-websocket-modules")
    keepalive = settings.sip_websocket.keepalive_s
    return Area(
        modules=("xhttp", "websocket"),
        parameters=(
            ("xhttp", "event_callback", "ksr_xhttp_event"),
            ("websocket", "event_callback", "ksr_websocket_event"),
            ("websocket", "keepalive_mechanism", PING),
            ("websocket", "keepalive_timeout", keepalive),
            ("websocket", "ping_application_data", settings.sip.user_agent),  # else Kamailio's name and version
            ("websocket", "keepalive_interval", 1),
            ("websocket", "sub_protocols", SIP),
            ("websocket", "rm_delay_interval", 1),  # seconds until what was closed is told (websocket:closed)
        ),
        globals=(("tcp_accept_no_cl", "yes"),),  # HTTP requests have no Content-Length
    )


def rules(settings: Settings) -> WebsocketRules:
    """What the routing script has to know."""
    chosen = settings.sip_websocket
    sockets = tuple(str(socket.at) for socket in settings.sip.listen if socket.transport in CORE)
    return WebsocketRules(
        enabled=bool(sockets), sockets=sockets, require_origin=chosen.require_origin, max_sessions=chosen.max_sessions,
        origins=tuple(origin.lower().rstrip("/") for origin in chosen.origins),
        hosts=tuple(host.lower() for host in chosen.hosts),
    )  # fmt: skip
