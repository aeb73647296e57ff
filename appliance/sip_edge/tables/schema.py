"""Kamailio 5.6.3's own tables (share/kamailio/*/{permissions,dispatcher,auth_db,group}-create.sql), as SQLAlchemy's.

Tests compare them with Kamailio's schema files column by column; module versions are checked by Kamailio at its start.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    text,
)

METADATA = MetaData()
OURS = frozenset({"subscriber_ha1", "bans"})  # tables that Kamailio's modules do not know; all others are its own
VERSIONS = {"version": 1, "trusted": 6, "address": 6, "dispatcher": 4, "subscriber": 7, "grp": 2}


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, nullable=False)


def _number(name: str, default: int = 0, kind: type[Integer] = Integer) -> Column[int]:
    return Column(name, kind, nullable=False, server_default=text(str(default)))


def _word(name: str, octets: int) -> Column[str]:
    return Column(name, String(octets), nullable=False, server_default=text("''"))


version = Table(
    "version", METADATA, _id(),
    Column("table_name", String(32), nullable=False), _number("table_version"),
    UniqueConstraint("table_name", name="version_table_name_idx"),
)  # fmt: skip

trusted = Table(
    "trusted", METADATA, _id(),
    Column("src_ip", String(50), nullable=False), Column("proto", String(4), nullable=False),
    Column("from_pattern", String(64), server_default=text("NULL")),
    Column("ruri_pattern", String(64), server_default=text("NULL")),
    Column("tag", String(64)), _number("priority"),
    Index("trusted_peer_idx", "src_ip"),
)  # fmt: skip

address = Table(
    "address", METADATA, _id(),
    _number("grp", 1), Column("ip_addr", String(50), nullable=False), _number("mask", 32),
    _number("port", 0, SmallInteger), Column("tag", String(64)),
)  # fmt: skip

dispatcher = Table(
    "dispatcher", METADATA, _id(),
    _number("setid"), _word("destination", 192), _number("flags"), _number("priority"),
    _word("attrs", 128), _word("description", 64),
)  # fmt: skip

subscriber = Table(
    "subscriber", METADATA, _id(),
    _word("username", 64), _word("domain", 64), _word("password", 64), _word("ha1", 128), _word("ha1b", 128),
    UniqueConstraint("username", "domain", name="subscriber_account_idx"),
    Index("subscriber_username_idx", "username"),
)  # fmt: skip

subscriber_ha1 = Table(  # ours: HA1 of algorithms that Kamailio's table has no column for (RFC 8760)
    "subscriber_ha1", METADATA, _id(),
    _word("username", 64), _word("domain", 64), _word("algorithm", 16), _word("ha1", 128),
    UniqueConstraint("username", "domain", "algorithm", name="subscriber_ha1_idx"),
)  # fmt: skip

grp = Table(
    "grp", METADATA, _id(),
    _word("username", 64), _word("domain", 64), _word("grp", 64),
    Column("last_modified", DateTime, nullable=False, server_default=text("'2000-01-01 00:00:01'")),
    UniqueConstraint("username", "domain", "grp", name="grp_account_group_idx"),
)  # fmt: skip
