"""`address` and `trusted` by the names that the settings give them; columns are known here by Kamailio's own names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, SmallInteger, String, Table, delete, insert, select

from appliance.config.sip_access import SipAccess
from appliance.sip_edge.tables import schema
from appliance.sip_edge.tables.access_rows import READERS, Address, AnyRow, Member, Trusted, address

KINDS: Mapping[str, type[AnyRow]] = {"address": Address, "trusted": Trusted, "grp": Member}
AT_ONCE = 500  # ids in one DELETE: SQLite takes 999 parameters
NULL_WHEN_EMPTY = ("tag", "from_pattern", "ruri_pattern")


class AccessTables:
    """Rows in and out of the three tables, inside somebody else's transaction."""

    def __init__(self, access: SipAccess) -> None:
        names, tag = MetaData(), access.tag_col
        addresses = Table(
            access.address_table, names, Column("id", Integer, primary_key=True),
            Column(access.grp_col, Integer, key="grp"), Column(access.ip_addr_col, String(50), key="ip_addr"),
            Column(access.mask_col, Integer, key="mask"), Column(access.port_col, SmallInteger, key="port"),
            Column(tag, String(64), key="tag"),
        )  # fmt: skip
        trusted = Table(
            access.trusted_table, names, Column("id", Integer, primary_key=True),
            Column(access.source_col, String(50), key="src_ip"), Column(access.proto_col, String(4), key="proto"),
            Column(access.from_col, String(64), key="from_pattern"),
            Column(access.ruri_col, String(64), key="ruri_pattern"),
            Column(tag, String(64), key="tag"), Column(access.priority_col, Integer, key="priority"),
        )  # fmt: skip
        self._tables = {"address": addresses, "trusted": trusted, "grp": schema.grp}

    def rows(self, link: Connection, kind: str, group: int | str | None = None) -> list[tuple[int, AnyRow]]:
        """Every row that can be read with its id, in order of the ids; `group`: of `address` and `grp`, that one's."""
        return [(number, row) for number, row, _ in self._read(link, kind, group) if row is not None]

    def unreadable(self, link: Connection, kind: str) -> Iterator[tuple[int, str]]:
        """Ids of rows that Kamailio would stumble over, and why."""
        return ((number, why) for number, row, why in self._read(link, kind, None) if row is None)

    def add(self, link: Connection, kind: str, rows: Sequence[AnyRow]) -> None:
        if rows:
            link.execute(insert(self._tables[kind]), [_values(row) for row in rows])

    def clear(self, link: Connection, kind: str) -> None:
        """All rows, also those that cannot be read."""
        link.execute(delete(self._tables[kind]))

    def remove(self, link: Connection, kind: str, ids: Sequence[int]) -> None:
        table = self._tables[kind]
        for start in range(0, len(ids), AT_ONCE):
            link.execute(delete(table).where(table.c.id.in_(ids[start : start + AT_ONCE])))

    def _read(self, link: Connection, kind: str, group: int | str | None) -> Iterator[tuple[int, AnyRow | None, str]]:
        table = self._tables[kind]
        asked = select(*(column.label(column.key) for column in table.c)).order_by(table.c.id)
        if group is not None:
            asked = asked.where(table.c.grp == group)
        for values in link.execute(asked).mappings():
            try:
                yield values["id"], read(kind, dict(values)), ""
            except ValueError as error:
                yield values["id"], None, str(error)


def read(kind: str, values: Mapping[str, Any]) -> AnyRow:
    """A row as it stands in a table: as Kamailio takes it. ValueError."""
    return address(values, lenient=True) if kind == "address" else READERS[kind](values)


def _values(row: AnyRow) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: None if name in NULL_WHEN_EMPTY and value == "" else value for name, value in values.items()}


def ids(found: Iterable[tuple[int, AnyRow]]) -> list[int]:
    return [number for number, _ in found]
