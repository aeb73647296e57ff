"""Addresses, trusted peers and groups of users: changed as a whole or not at all, live, audited.

A reload of Kamailio's module permissions swaps two tables in its memory: whoever is being looked up has the old set or
the new one (N11). It refuses a second reload within `reload_delta` seconds, because a request may still read the old
set; changes that come sooner wait here instead.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection

from appliance.config.schema import Settings
from appliance.errors import AlreadyExists, EdgeRefused, InvalidRequest, NotFound
from appliance.sip_edge.management.edge import Applied, Changed, Command, Edge
from appliance.sip_edge.tables import access_rows, table_files
from appliance.sip_edge.tables.access_rows import Address, AnyRow
from appliance.sip_edge.tables.access_tables import AccessTables, ids, read

T = TypeVar("T")

ADDRESS, TRUSTED, MEMBER = "address", "trusted", "grp"
RELOADED = (ADDRESS, TRUSTED)  # kept in Kamailio's memory
TOLD = 50  # rows that the audit log and a reply name one by one
TOO_SOON = "ongoing reload"  # what Kamailio says within reload_delta


@dataclass(frozen=True)
class Summary:
    """What a change did: numbers of rows, and what somebody should look at."""

    added: int = 0
    removed: int = 0
    warnings: tuple[str, ...] = ()


class Access:
    """The three tables of one SIP edge."""

    def __init__(
        self,
        edge: Edge,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._edge, self._settings, self._access = edge, settings, settings.sip_access
        self._tables = AccessTables(self._access)
        self._clock, self._sleep = clock, sleep
        self._turn = asyncio.Lock()  # of those who reload
        self._reloaded = 0.0

    async def rows(self, kind: str, group: int | str | None = None) -> list[tuple[int, AnyRow]]:
        """Every row with its id, in order of the ids. DatabaseUnavailable."""
        return await self._edge.database.run(lambda link: self._tables.rows(link, kind, group))

    async def add(self, who: str, kind: str, rows: Sequence[AnyRow]) -> Applied[Summary]:
        """All of them or none. InvalidRequest, AlreadyExists; errors of Edge.change."""
        if not rows:
            raise InvalidRequest("no rows")
        _once(rows)

        def work(link: Connection) -> Changed[Summary]:
            there = self._tables.rows(link, kind)
            have = {row.key: number for number, row in there}
            for row in rows:
                if row.key in have:
                    raise AlreadyExists(f"{row} is there already (row {have[row.key]})")
            self._tables.add(link, kind, rows)
            warnings = self._judge(kind, [*(row for _, row in there), *rows])
            return Changed(Summary(added=len(rows), warnings=warnings), after=_told(rows))

        return await self._change(who, f"{kind} add", _target(rows), work, kind)

    async def remove(
        self, who: str, kind: str, numbers: Sequence[int], group: int | str | None = None
    ) -> Applied[Summary]:
        """Rows by id, or all of a group. NotFound."""
        wanted = set(numbers)

        def work(link: Connection) -> Changed[Summary]:
            there = [(number, row) for number, row in self._tables.rows(link, kind, group)
                     if group is not None or number in wanted]  # fmt: skip
            missing = wanted - set(ids(there))
            if missing or not there:
                raise NotFound(f"no row {_listed(missing)}" if missing else f"group {group} is empty")
            self._tables.remove(link, kind, ids(there))
            return Changed(Summary(removed=len(there)), before=_told(row for _, row in there))

        target = f"group {group}" if group is not None else f"rows {_listed(wanted)}"
        return await self._change(who, f"{kind} remove", target, work, kind)

    async def replace(
        self, who: str, kind: str, rows: Sequence[AnyRow], group: int | str | None = None
    ) -> Applied[Summary]:
        """These rows instead of all of the table, or of one group; nobody ever sees the half of it."""
        _once(rows)
        if group is not None and (stray := next((row for row in rows if getattr(row, "grp", group) != group), None)):
            raise InvalidRequest(f"{stray} is not of group {group}")

        def work(link: Connection) -> Changed[Summary]:
            there = self._tables.rows(link, kind)
            old = [(number, row) for number, row in there if group is None or getattr(row, "grp", None) == group]
            self._tables.remove(link, kind, ids(old))
            self._tables.add(link, kind, rows)
            gone = set(ids(old))
            found = self._judge(kind, [*(row for number, row in there if number not in gone), *rows])
            return Changed(Summary(len(rows), len(old), found), _told(row for _, row in old), _told(rows))

        target = "everything" if group is None else f"group {group}"
        return await self._change(who, f"{kind} replace", target, work, kind)

    async def import_rows(self, who: str, kind: str, text: str, *, replace: bool) -> dict[str, Applied[Summary]]:
        """A file of Kamailio's (SQL dump, CSV, db_text, address file): every table in it, one after the other, each as
        a whole, none when one of them has a mistake. Rows that are there already are passed over; `replace`: each table
        becomes what the file says. InvalidRequest names the lines."""
        action = "replace" if replace else "import"
        return {
            table: await self._import(who, f"{table} {action}", table, *found, replace=replace)
            for table, found in parse(kind, text).items()
        }

    async def _import(
        self, who: str, action: str, kind: str, rows: Sequence[AnyRow], odd: Sequence[str], *, replace: bool
    ) -> Applied[Summary]:
        def work(link: Connection) -> Changed[Summary]:
            there = [row for _, row in self._tables.rows(link, kind)]
            if replace:
                self._tables.clear(link, kind)
                self._tables.add(link, kind, rows)
                return Changed(
                    Summary(len(rows), len(there), (*odd, *self._judge(kind, rows))), _told(there), _told(rows)
                )
            have = {row.key for row in there}
            fresh = [row for row in rows if row.key not in have]
            self._tables.add(link, kind, fresh)
            known = (f"{len(rows) - len(fresh)} row(s) were there already",) if len(fresh) < len(rows) else ()
            return Changed(
                Summary(len(fresh), 0, (*odd, *known, *self._judge(kind, [*there, *fresh]))), after=_told(fresh)
            )

        return await self._change(who, action, f"{len(rows)} rows", work, kind)

    async def reload(self, who: str) -> bool:
        """Let Kamailio read the tables again, after somebody else changed them. False: it is not up."""
        done = [await self._change(who, f"{kind} reload", kind, lambda _: Changed(None), kind) for kind in RELOADED]
        return all(applied.live for applied in done)

    def _judge(self, kind: str, rows: Sequence[AnyRow]) -> tuple[str, ...]:
        """What Kamailio would do with the whole table. InvalidRequest where it would not load it."""
        if kind != ADDRESS:
            return ()
        addresses = [row for row in rows if isinstance(row, Address)]
        subnets = access_rows.subnets(addresses)
        if subnets > self._access.max_subnets:
            raise InvalidRequest(f"{subnets} networks: sip_access.max_subnets is {self._access.max_subnets}")
        found = access_rows.overlaps(addresses)
        if self._access.subnet_match_mode == "longest" or not found:
            return ()
        more = (f"and {len(found) - TOLD} more",) if len(found) > TOLD else ()
        return (*(f"{one}: the lower group number counts" for one in found[:TOLD]), *more)

    async def _change(
        self, who: str, action: str, target: str, work: Callable[[Connection], Changed[T]], kind: str
    ) -> Applied[T]:
        """One table in one change: what Kamailio refuses to load is then exactly what goes back."""
        commands = self._reload(kind)
        if not commands:
            return await self._edge.change(who, action, target, work)
        async with self._turn:
            for last in (False, True):
                await self._wait()
                try:
                    return await self._edge.change(who, action, target, work, commands)
                except EdgeRefused as error:
                    if TOO_SOON not in str(error) or last:  # somebody else reloaded just now
                        raise
                finally:
                    self._reloaded = self._clock()
        raise AssertionError("not reached")

    def _reload(self, kind: str) -> tuple[Command, ...]:
        if kind == ADDRESS and self._access.address:
            return (("permissions.addressReload",),)
        if kind == TRUSTED and self._access.trusted and self._access.db_mode:
            return (("permissions.trustedReload",),)
        return ()

    async def _wait(self) -> None:
        """Kamailio counts whole seconds of the clock."""
        due = int(self._reloaded) + self._access.reload_delta
        while self._clock() < due:
            await self._sleep(due - self._clock())


def parse(kind: str, text: str) -> dict[str, tuple[list[AnyRow], list[str]]]:
    """Rows by table out of a file, and what was odd about them. `kind` "": as the file says. InvalidRequest."""
    mistakes: list[str] = []
    found: dict[str, tuple[list[AnyRow], list[str]]] = {}
    try:
        if not table_files.form(text):
            rows: list[AnyRow] = [row for _, row in access_rows.address_file(text)]
            return {ADDRESS: _without_repeats(rows)}
        raw = table_files.read(text, kind or _kind_of(text))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    by_table: dict[str, list[AnyRow]] = {}
    for row in raw:
        if row.table not in access_rows.READERS or (kind and row.table != kind):
            continue
        try:
            by_table.setdefault(row.table, []).append(read(row.table, row.values))
        except ValueError as error:
            mistakes.append(f"line {row.line}: {error}")
    if mistakes:
        more = f" (and {len(mistakes) - TOLD} more)" if len(mistakes) > TOLD else ""
        raise InvalidRequest("; ".join(mistakes[:TOLD]) + more)
    found = {table: _without_repeats(rows) for table, rows in by_table.items()}
    if not found:
        raise InvalidRequest(f"no rows of {kind or 'address, trusted or grp'} in this file")
    return found


def _kind_of(text: str) -> str:
    """Which table a CSV or db_text file is of, by its columns."""
    head = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "").lower()
    words: Mapping[str, str] = {"ip_addr": ADDRESS, "src_ip": TRUSTED, "username": MEMBER}
    return next((kind for word, kind in words.items() if word in head), "")


def _without_repeats(rows: list[AnyRow]) -> tuple[list[AnyRow], list[str]]:
    again = list(access_rows.repeated(rows))
    if not again:
        return rows, []
    unique = list({row.key: row for row in reversed(rows)}.values())[::-1]
    return unique, [f"{row} is in the file more than once" for row in again[:TOLD]]


def _once(rows: Sequence[AnyRow]) -> None:
    again = next(access_rows.repeated(rows), None)
    if again is not None:
        raise InvalidRequest(f"{again} is given twice")


def _told(rows: Iterable[AnyRow]) -> Any:
    """For the audit log: the first rows in words, and how many there are."""
    listed = [str(row) + (f" tag {tag}" if (tag := getattr(row, "tag", "")) else "") for row in rows]
    return {"rows": len(listed), "first": listed[:TOLD]}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)[:TOLD]))


def _target(rows: Sequence[AnyRow]) -> str:
    return str(rows[0]) if len(rows) == 1 else f"{len(rows)} rows"
