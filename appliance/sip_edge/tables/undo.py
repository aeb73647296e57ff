"""What a transaction changed, row by row, so that it can be taken back after it was committed.

Kamailio reads its tables over a connection of its own: it sees only what is committed. When it then refuses to load
them, exactly the rows that we touched go back to what they were; what others changed meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, UpdateBase, delete, event, insert, select, update

Rows = Mapping[int, Mapping[str, Any]]  # by id


class Undo:
    """Watches one connection: `with` around the work, `revert` in a later transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before: dict[Table, Rows] = {}
        self._after: dict[Table, Rows] = {}

    def __enter__(self) -> Undo:
        event.listen(self._connection, "before_execute", self._about_to)
        return self

    def __exit__(self, *error: object) -> None:
        event.remove(self._connection, "before_execute", self._about_to)
        if error[0] is None:
            self._after = {table: _read(self._connection, table) for table in self._before}

    def _about_to(self, connection: Connection, statement: Any, *rest: object) -> None:
        """The first change of a table: keep what it holds. Only tables with a reload are watched, and those are small
        enough for Kamailio's memory."""
        table = getattr(statement, "table", None)
        if isinstance(statement, UpdateBase) and isinstance(table, Table) and table not in self._before:
            self._before[table] = _read(connection, table)

    def revert(self, connection: Connection) -> None:
        for table, before in self._before.items():
            after = self._after.get(table, {})
            for number in after.keys() - before.keys():
                connection.execute(delete(table).where(table.c.id == number))
            for number, row in before.items():
                if number not in after:
                    connection.execute(insert(table).values(**row))
                elif row != after[number]:
                    connection.execute(update(table).where(table.c.id == number).values(**row))


def _read(connection: Connection, table: Table) -> Rows:
    return {row["id"]: dict(row) for row in connection.execute(select(table)).mappings()}
