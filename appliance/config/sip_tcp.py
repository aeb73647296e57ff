"""`[sip_tcp]`: connections of SIP over TCP, and what holds for all streams (TLS and WebSocket too)."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row


class SipTcp(Table):
    """SIP over TCP, and WebSocket without TLS. Those over TLS have their own times in [sip_tls]."""

    first_request_s: int = row(
        30, help="A connection that has not brought a valid SIP message in this time is closed, whatever it sends.",
        unit="seconds", effect=Effect.RESTART, ge=2, le=3600,
    )  # fmt: skip
    idle_s: int = row(
        3605, help="One that has, and on which nothing came or went for so long, is closed.", unit="seconds",
        effect=Effect.RESTART, ge=30, le=86_400,
    )  # fmt: skip
    max_connections: int = row(
        2048, help="TCP and TLS connections at one time; further ones are closed at once.", unit="connections",
        effect=Effect.RESTART, ge=1, le=1_000_000,
    )  # fmt: skip
