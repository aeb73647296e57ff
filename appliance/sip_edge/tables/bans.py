"""Our own table `bans`: what is banned survives a restart of the gateway. Kamailio does not read it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

from sqlalchemy import Column, Connection, Float, Integer, String, Table, delete, insert, or_, select

from appliance.sip_edge.management.ban import Ban
from appliance.sip_edge.tables.schema import METADATA

IN_ONE = 500  # parameters of one statement: every database takes so many

bans = Table(
    "bans", METADATA,
    Column("id", Integer, primary_key=True, nullable=False),
    Column("network", String(50), nullable=False, unique=True),
    Column("rule", String(64), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("who", String(210), nullable=False),
    Column("since", Float(53), nullable=False),  # seconds since the epoch
    Column("until", Float(53)),  # NULL: for ever
)  # fmt: skip


def load(connection: Connection, now: float) -> list[Ban]:
    """Every ban that still holds, in the order of their beginning."""
    holding = select(bans).where(or_(bans.c.until.is_(None), bans.c.until > now)).order_by(bans.c.since, bans.c.id)
    return [
        Ban(ipaddress.ip_network(row["network"]), row["since"], row["until"], row["rule"], row["reason"], row["who"])
        for row in connection.execute(holding).mappings()
    ]


def save(connection: Connection, changed: Iterable[Ban], gone: Collection[str]) -> None:
    """Write bans (each replaces its predecessor), remove networks."""
    rows = [
        {"network": str(ban.network), "rule": ban.rule, "reason": ban.reason, "who": ban.who, "since": ban.since,
         "until": ban.until}
        for ban in changed
    ]  # fmt: skip
    names = [*gone, *(str(row["network"]) for row in rows)]
    for start in range(0, len(names), IN_ONE):
        connection.execute(delete(bans).where(bans.c.network.in_(names[start : start + IN_ONE])))
    if rows:
        connection.execute(insert(bans), rows)


def prune(connection: Connection, now: float) -> None:
    """Remove what is over: of a gateway that was not running when the time came."""
    connection.execute(delete(bans).where(bans.c.until <= now))
