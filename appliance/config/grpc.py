"""`[grpc]`: the management API."""

from __future__ import annotations

from pathlib import Path

from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalListen


class Grpc(Table):
    """The management API. The Unix socket (paths.run)/control.sock is always there; TCP is mutual TLS only."""

    listen: OptionalListen = row("", help="TCP address and port; empty: Unix socket only.", effect=Effect.RESTART)
    certificate: Path | None = row(None, help="Server certificate chain, PEM.", effect=Effect.RESTART)
    key: Path | None = row(None, help="Private key of the certificate, PEM.", effect=Effect.RESTART)
    client_ca: Path | None = row(
        None, help="Authorities that client certificates must come from, PEM.", effect=Effect.RESTART
    )
    max_message_octets: int = row(
        262_144, help="Longest request taken.", unit="octets", effect=Effect.RESTART, ge=16_384, le=1_048_576
    )
    max_concurrent_streams: int = row(
        256, help="Requests under way per connection.", unit="requests", effect=Effect.RESTART, ge=1, le=10_000
    )
    reflection: bool = row(True, help="Serve reflection, so that grpcurl needs no .proto files.", effect=Effect.RESTART)
