"""`[sip_websocket]`: SIP over WebSocket (RFC 7118) on ws and wss sockets."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from appliance.config.rows import Effect, Table, row
from appliance.config.types import Words

_ORIGIN = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#\s]+/?$", re.IGNORECASE)


def _origins(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _ORIGIN.match(value):
            raise ValueError(f"{value!r} is not an origin such as https://phone.example.org")
    return values


class SipWebsocket(Table):
    """SIP over WebSocket (RFC 7118): who may open a session on ws and wss sockets of sip.listen."""

    origins: Annotated[Words, AfterValidator(_origins)] = row(
        (),
        help="Origins of web pages that may connect, such as https://phone.example.org; empty: any. Programs that are "
        "no browser send none.",
        effect=Effect.RESTART,
    )
    require_origin: bool = row(
        False, help="Refuse clients without an Origin, that is all but browsers.", effect=Effect.RESTART
    )
    hosts: Words = row(
        (), help="Names by which we may be asked for (Host, without its port); empty: any.", effect=Effect.RESTART
    )
    max_sessions: int = row(
        1000, help="WebSocket sessions at one time.", unit="sessions", effect=Effect.RESTART, ge=1, le=1_000_000
    )
    body_size: int = row(
        12_288, help="Longest body over WebSocket, where it is more than sip_sanity.body_size: a browser's offer with "
        "video has about 6,000 octets, and 130 for each candidate of each stream. Each connection has a buffer for it.",
        unit="octets", effect=Effect.RESTART, ge=1000, le=49_152,
    )  # fmt: skip
    keepalive_s: int = row(
        30, help="A session that was silent for so long is asked for a pong; without one it is closed.", unit="seconds",
        effect=Effect.RESTART, ge=5, le=3600,
    )  # fmt: skip
