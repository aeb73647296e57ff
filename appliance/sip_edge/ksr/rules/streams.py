"""How long a connection may say nothing (row K10; security-and-faults G6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS

USED = "streams"  # htable: connections that brought a good message, by their peer
PLAIN, PROTECTED = ("tcp", "ws"), ("tls", "wss")


@dataclass(frozen=True)
class StreamRules:
    """`enabled`: there are sockets for streams. Pairs: seconds until the first good message, and without any after it.
    `session_s`: without an octet in a WebSocket session, whose peer answers pings; Kamailio (5.6) forgets one that does
    not, and leaves its connection open. `every_s`: how often connections are looked at."""

    enabled: bool = False
    plain: tuple[int, int] = (30, 3605)
    protected: tuple[int, int] = (30, 3600)
    session_s: int = 90
    every_s: int = 7

    def times(self, transport: str) -> tuple[int, int] | None:
        """None: that is no stream."""
        name = transport.lower()
        found = self.plain if name in PLAIN else self.protected if name in PROTECTED else None
        return found if found is None or name not in TRANSPORTS else (found[0], max(self.session_s, found[0] + 1))


@dataclass
class Watch:
    """When each connection was seen first, by its number; only those that have not brought a good message yet."""

    rules: StreamRules
    since: dict[int, float] = field(default_factory=dict)

    def overdue(self, connections: Iterable[dict[str, Any]], now: float) -> list[int]:
        """Numbers of connections whose time for a first message is over. `connections`: as RPC core.tcp_list has them.
        One that brought a message has a longer life (lifetime), and is not looked at any more."""
        seen: dict[int, float] = {}
        found = []
        for one in connections:
            times = self.rules.times(str(one.get("type", "")))
            if times is None or int(one.get("lifetime", 0)) > times[0]:
                continue
            number = int(one["id"])
            seen[number] = self.since.get(number, now)
            if now - seen[number] >= times[0]:
                found.append(number)
        self.since = seen
        return found
