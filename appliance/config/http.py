"""`[http]`: metrics."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row
from appliance.config.types import OptionalListen


class Http(Table):
    """Metrics over HTTP (GET /metrics, OpenMetrics)."""

    listen: OptionalListen = row("", help="Address and port; empty: off.", effect=Effect.RESTART)
