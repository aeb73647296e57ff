"""`[ng]`: rtpengine's NG protocol."""

from __future__ import annotations

from pathlib import Path

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Listens, Networks


class Ng(Table):
    """rtpengine's NG protocol. It has no authentication of its own: the allow list, for all its sockets, is all there
    is."""

    listen: Listens = row(("127.0.0.1:2223",), help="Where NG is served over UDP; empty: not.", effect=Effect.RESTART)
    listen_tcp: Listens = row((), help="Where NG is served over TCP (tcp-ng).", effect=Effect.RESTART)
    listen_http: Listens = row(
        (), help="Where NG is served over HTTP (POST /ng) and WebSocket (ng.rtpengine.com).", effect=Effect.RESTART
    )
    listen_https: Listens = row(
        (), help="The same over TLS (HTTPS, WSS); needs certificate and key.", effect=Effect.RESTART
    )
    certificate: Path | None = row(None, help="Certificate chain for listen_https, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    allow: Networks = row(("127.0.0.0/8", "::1/128"), help="Source networks that are answered.", effect=Effect.AT_ONCE)
    connections: int = row(
        256, help="Most TCP connections, and most HTTP and WebSocket connections, at one time.", unit="connections",
        effect=Effect.RESTART, ge=1, le=10_000,
    )  # fmt: skip
    idle_s: float = row(
        10.0, help="Longest time that the rest of a TCP or HTTP message may take.", unit="seconds",
        effect=Effect.RESTART, gt=0, le=600,
    )  # fmt: skip
    delete_delay_s: int = row(
        0,
        help="How long a deleted call lives on where the request has no delete-delay of its own. rtpengine's default "
        "is 30; 0, at once, frees its ports for the next call.",
        unit="seconds", effect=Effect.RESTART, ge=0, le=3600,
    )  # fmt: skip
    templates: dict[str, str] = row(
        dict,
        help="Named flag strings, such as webrtc = \"SDES-off ICE=remove\", that a request names by `template`. "
        "`default`, and the one named like a command (`offer`), are read before each request's own words.",
        effect=Effect.RESTART,
    )  # fmt: skip
