"""`[log]`: log lines."""

from __future__ import annotations

from typing import Literal

from appliance.config.rows import Effect, Table, row


class Log(Table):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = row(
        "info", help="Least level written.", effect=Effect.AT_ONCE
    )
    format: Literal["auto", "json", "text"] = row(
        "auto", help="auto: text on a terminal, JSON lines elsewhere.", effect=Effect.RESTART
    )
