"""`[[interfaces]]`: our addresses for media."""

from __future__ import annotations

from appliance.config.rows import Effect, Table, row
from appliance.config.trunks import NAME
from appliance.config.types import IPLiteral, OptionalIPLiteral, OptionalPorts


class Interface(Table):
    """One address of ours for media, by the name that trunks and NG's `direction` use."""

    name: str = row(
        "default", help="Name; the first interface is the default one.", effect=Effect.RESTART, pattern=NAME
    )
    address: IPLiteral = row(help="Local IP address that media ports are opened on.", effect=Effect.RESTART)
    advertised: OptionalIPLiteral = row(
        "", help="Address written in SDP when peers reach it under another one (NAT).", effect=Effect.NEXT_CALL
    )
    ports: OptionalPorts = row(
        "", help="UDP ports for media on it, shared by the workers; empty: media.ports.", effect=Effect.RESTART
    )
