"""`[[sip_limits]]`, `[sip_overload]`: how much the SIP edge takes, of whom, and what gives way first."""

from __future__ import annotations

from typing import Literal

from appliance.config.rows import Effect, Table, row
from appliance.config.trunks import NAME
from appliance.config.types import Words


class SipLimit(Table):
    """A pipe (Kamailio's module pipelimit): new requests above its limit are refused with 503 and Retry-After. Requests
    within dialogs are never limited."""

    name: str = row(help="Name in events and counters: limit_NAME.", effect=Effect.RESTART, pattern=NAME)
    per: Literal["all", "source", "trunk", "user", "method"] = row(
        "all", help="One pipe for all, or one for each source address, trunk, user in From, or method.",
        effect=Effect.RESTART,
    )  # fmt: skip
    methods: Words = row(("INVITE",), help="Methods it counts; empty: all.", effect=Effect.RESTART)
    algorithm: Literal["TAILDROP", "RED", "NETWORK", "FEEDBACK"] = row(
        "TAILDROP",
        help="TAILDROP: refuse what is above the limit; RED: some of it, spread evenly; NETWORK: above so many octets "
        "in the receive queues; FEEDBACK: what brings the processor's load down to the limit.",
        effect=Effect.RESTART,
    )  # fmt: skip
    limit: int = row(
        help="Requests a second; octets for NETWORK, per cent of load for FEEDBACK.", unit="requests per second",
        effect=Effect.RESTART, ge=1, le=10_000_000,
    )  # fmt: skip
    retry_after_s: int = row(
        5, help="Retry-After of the refusal.", unit="seconds", effect=Effect.RESTART, ge=1, le=3600
    )


class SipOverload(Table):
    """When more SIP comes than can be handled, new calls are refused before anything is done for them; requests within
    dialogs, ACK, CANCEL and replies go on. It is measured by how full the receive buffers of the UDP sockets are."""

    enabled: bool = row(True, help="Shed new requests under overload.", effect=Effect.RESTART)
    shed_strangers_at: float = row(
        0.35, help="Fill of a receive buffer from which on new requests of unknown sources are refused.", unit="share",
        effect=Effect.RESTART, gt=0, le=1,
    )  # fmt: skip
    shed_all_at: float = row(
        0.7, help="The same for everybody, trunks too.", unit="share", effect=Effect.RESTART, gt=0, le=1
    )
    retry_after_s: int = row(
        5, help="Retry-After; up to twice as long, so that not all come back at once.", unit="seconds",
        effect=Effect.RESTART, ge=1, le=3600,
    )  # fmt: skip
