"""Connections (TCP, TLS, WebSocket): a short life until the first good message, a long one after it.

Kamailio 5.6 gives every new connection one lifetime and begins it anew with each octet; so a timer looks for those that
send and say nothing.
"""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.streams import USED, StreamRules

LOOKS = 4  # how often within the time for a first message
PINGS = 3  # times of keepalive_s: the second is when Kamailio gives a silent peer up
TIMER = "streams"


def area(settings: Settings, places: Places) -> Area:
    """Nothing without a stream."""
    found = rules(settings)
    if not found.enabled:
        return Area()
    longest = max(settings.sip_tcp.idle_s, settings.sip_tls.idle_s)
    return Area(
        modules=("tcpops", "rtimer"),
        parameters=(
            ("tcpops", "closed_event", 1),
            ("tcpops", "event_callback", "ksr_tcp_event"),
            ("rtimer", "timer", f"name={TIMER};interval={found.every_s};mode=1;"),
            ("rtimer", "exec", f"timer={TIMER};route=ksr_timer"),
            ("htable", "htable", f"{USED}=>size=10;autoexpire={longest + 60};"),
        ),
        globals=(
            ("tcp_connection_lifetime", settings.sip_tcp.first_request_s),
            ("tcp_max_connections", settings.sip_tcp.max_connections),
        ),
    )


def rules(settings: Settings) -> StreamRules:
    """What the script has to know."""
    tcp, tls = settings.sip_tcp, settings.sip_tls
    enabled = any(socket.transport != "udp" for socket in settings.sip.listen)
    every = max(1, min(tcp.first_request_s, tls.handshake_s) // LOOKS)
    return StreamRules(
        enabled, (tcp.first_request_s, tcp.idle_s), (tls.handshake_s, tls.idle_s),
        PINGS * settings.sip_websocket.keepalive_s, every,
    )  # fmt: skip
