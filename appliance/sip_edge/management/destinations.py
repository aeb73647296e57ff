"""Destination sets while the SIP edge runs: Kamailio's table, and what Kamailio knows of its rows now.

A change is made in the table, then Kamailio reads all of it. Its reload would take every destination for what the table
says: those that pings or calls have found dead are put back at once. Load is in the dialogs: no reload touches it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, delete, insert, select, update

from appliance.config.sip_dispatcher import SipDispatcher
from appliance.errors import AlreadyExists, EdgeRefused, GatewayError, InvalidRequest, NotFound
from appliance.placement import algorithms
from appliance.placement.algorithms import Candidate, Turn
from appliance.sip_edge.ksr.rules import balance as rules
from appliance.sip_edge.management.edge import Applied, Changed, Command, Edge
from appliance.sip_edge.tables import dispatcher_rows, schema
from appliance.sip_edge.tables.dispatcher_rows import DISABLED, INACTIVE, PROBING, STATES, Row

T = TypeVar("T")

LOOK_S = 5.0
RELOAD: Command = ("dispatcher.reload",)
STATE_WORDS = {"active": ("a", 0), "inactive": ("i", INACTIVE), "disabled": ("d", DISABLED), "probing": ("ip", 9)}
NAMES = {"A": "active", "T": "trying", "I": "inactive", "D": "disabled"}


@dataclass(frozen=True)
class Live:
    """What Kamailio knows of one destination."""

    state: str  # active, trying, inactive, disabled
    probing: bool
    latency: Mapping[str, float]  # AVG, STD, EST, MAX in milliseconds, TIMEOUT a count; empty: not measured
    load: int  # calls that count for it (algorithm 10)


@dataclass(frozen=True)
class Shown:
    row: Row
    live: Live | None  # None: Kamailio is away, or has not got it


class Destinations:
    """Reads are Kamailio's and the table's; every change is audited and goes through the one writer."""

    def __init__(
        self, edge: Edge, settings: SipDispatcher | None = None, sets: Mapping[int, int] | None = None
    ) -> None:
        """`settings`: names of table and columns, or the file in place of it; `sets`: algorithm by set id."""
        self._edge = edge
        self._settings = settings or SipDispatcher()
        self._algorithms = sets or {}
        self._table = table(self._settings)
        self.seen: tuple[Shown, ...] = ()  # as of the last `look`: for metrics
        self._looking: asyncio.Task[None] | None = None
        self._looked = -LOOK_S

    async def shown(self, setid: int | None = None) -> list[Shown]:
        """Rows with what Kamailio knows of them, in Kamailio's order; those that it has not got at the end. A file in
        place of the table: what Kamailio read from it. DatabaseUnavailable."""
        known = await self._known()
        rows = await self._rows() if self._settings.list_file is None else []
        left = {(row.setid, row.destination): row for row in rows}
        shown = [
            Shown(left.pop((number, uri), Row(number, uri, 0, one.priority, _text(one.attributes))),
                  Live(NAMES.get(one.state, "active"), one.probing, latency, await self._load(number, one)))
            for (number, uri), (one, latency) in known.items()
        ]  # fmt: skip
        shown += [Shown(row, None) for row in left.values()]
        return [one for one in shown if setid is None or one.row.setid == setid]

    def tick(self) -> None:
        """Once a second: every LOOK_S a look for the metrics."""
        now = asyncio.get_running_loop().time()
        if now - self._looked >= LOOK_S and (self._looking is None or self._looking.done()):
            self._looked = now
            self._looking = asyncio.create_task(self.look(), name="destinations")

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Remember how all are, for metrics. Does not raise: nothing is known of an edge that is away."""
        try:
            self.seen = tuple(await self.shown())
        except GatewayError:
            self.seen = ()

    async def add(self, who: str, row: Row) -> Applied[Row]:
        """InvalidRequest, AlreadyExists, DatabaseUnavailable, EdgeRefused."""
        row = dispatcher_rows.told(row)

        def work(connection: Connection) -> Changed[Row]:
            rows = self._read(connection)
            if any((one.setid, one.destination) == (row.setid, row.destination) for one in rows):
                raise AlreadyExists(f"{row.destination} is in set {row.setid}")
            made = self._insert(connection, row)
            _check([*rows, made], {row.setid})
            return Changed(made, after=_words(made))

        return await self._change(who, "destinations add", row.destination, work)

    async def update(self, who: str, number: int, **changes: Any) -> Applied[Row]:
        """Other values for columns of row `number`."""

        def work(connection: Connection) -> Changed[Row]:
            rows = self._read(connection)
            before = _one(rows, number)
            after = dispatcher_rows.told(replace(before, **changes))
            self._update(connection, after)
            _check([after if row.id == number else row for row in rows], {before.setid, after.setid})
            return Changed(after, _words(before), _words(after))

        row = _one(await self._rows(), number)
        return await self._change(who, "destinations update", str(number), work, [(row.setid, row.destination)])

    async def remove(self, who: str, number: int) -> Applied[Row]:
        def work(connection: Connection) -> Changed[Row]:
            row = _one(self._read(connection), number)
            connection.execute(delete(self._table).where(self._table.c.id == number))
            return Changed(row, before=_words(row))

        row = _one(await self._rows(), number)
        return await self._change(who, "destinations remove", str(number), work, [(row.setid, row.destination)])

    async def replace(self, who: str, sets: Mapping[int, Sequence[Row]]) -> Applied[list[Row]]:
        """All rows of each set at once; an empty sequence empties it. Rows that stay keep their id."""

        def work(connection: Connection) -> Changed[list[Row]]:
            before = [row for row in self._read(connection) if row.setid in sets]
            kept = {(row.setid, row.destination): row for row in before}
            made = []
            for row in (dispatcher_rows.told(row) for rows in sets.values() for row in rows):
                there = kept.pop((row.setid, row.destination), None)
                if there is None:
                    made.append(self._insert(connection, replace(row, id=0)))
                else:
                    made.append(replace(row, id=there.id))
                    self._update(connection, made[-1])
            for row in kept.values():
                connection.execute(delete(self._table).where(self._table.c.id == row.id))
            _check(self._read(connection), set(sets))
            return Changed(made, [_words(row) for row in before], [_words(row) for row in made])

        stay = {(row.setid, row.destination) for rows in sets.values() for row in rows}
        there = {(row.setid, row.destination) for row in await self._rows() if row.setid in sets}
        return await self._change(who, "destinations replace", ",".join(map(str, sorted(sets))), work, there - stay)

    async def set_state(self, who: str, number: int, state: str) -> Applied[Row]:
        """active, inactive, disabled, probing (inactive, and pinged until it answers): now, and after a restart."""
        if state not in STATE_WORDS:
            raise InvalidRequest(f"{state!r} is no state ({', '.join(STATE_WORDS)})", "state")
        word, flags = STATE_WORDS[state]

        def work(connection: Connection) -> Changed[Row]:
            before = _one(self._read(connection), number)
            after = replace(before, flags=before.flags & ~(STATES & ~PROBING) | flags)
            self._update(connection, after)
            return Changed(after, before.flags, after.flags)

        self._writable()
        row = _one(await self._rows(), number)
        commands = (("dispatcher.set_state", word, row.setid, row.destination), _news())
        return await self._edge.change(who, "destinations state", str(number), work, commands)

    async def reload(self, who: str) -> bool:
        """Let Kamailio read table or file again; states that it found stay. False: it is away."""
        commands = await self._reloading(frozenset())
        await self._edge.tell(who, "destinations reload", "", commands)
        return True

    async def ping_active(self, who: str, active: bool) -> None:
        """Switch all pings on or off until the edge restarts. RpcUnavailable."""
        await self._edge.tell(who, "destinations ping", "on" if active else "off",
                              [("dispatcher.ping_active", int(active))])  # fmt: skip

    async def pinging(self) -> bool:
        found = await self._edge.rpc.call("dispatcher.ping_active")
        return bool(int(found.get("OldPingState", 1))) if isinstance(found, Mapping) else True

    async def choose(self, setid: int, words: Sequence[str], algorithm: int | None = None) -> list[Shown]:
        """Whom a call would go to that has these words hashed (one text, or user and host), then whom it would fail
        over to. Of algorithms that take turns: whose turn a first call would be. InvalidRequest, NotFound."""
        if not words or len(words) > 2:
            raise InvalidRequest("give one text to hash, or user and host", "values")
        shown = [one for one in await self.shown(setid) if one.live is not None]
        if not shown:
            raise NotFound(f"set {setid} is not loaded")
        number = self.algorithm(setid) if algorithm is None else algorithm
        order = algorithms.order(number, [_candidate(one) for one in shown], Turn(keys=tuple(words)))
        return [shown[place] for place in order]

    def algorithm(self, setid: int) -> int:
        return self._algorithms.get(setid, self._settings.algorithm)

    async def _change(
        self, who: str, action: str, target: str, work: Callable[[Connection], Changed[T]],
        gone: Iterable[tuple[int, str]] = (),
    ) -> Applied[T]:  # fmt: skip
        """`gone`: set and URI of rows that will not be there any more, so that no state is put back for them."""
        self._writable()
        return await self._edge.change(who, action, target, work, await self._reloading(frozenset(gone)))

    def _writable(self) -> None:
        if self._settings.list_file is not None:
            raise EdgeRefused(f"the sets are in {self._settings.list_file}: change that file, then reload")

    async def _reloading(self, gone: frozenset[tuple[int, str]]) -> list[Command]:
        """Reload, then the states that Kamailio had found by itself."""
        found: list[Command] = [RELOAD]
        for (number, uri), (one, _) in (await self._known()).items():
            if one.state in ("I", "T") and (number, uri) not in gone:
                word = one.state.lower() + ("p" if one.probing else "")
                found.append(("dispatcher.set_state", word, number, uri))
        return [*found, _news()]

    async def _known(self) -> dict[tuple[int, str], tuple[rules.Destination, Mapping[str, float]]]:
        """By set and URI, in Kamailio's order; nothing when it is away."""
        try:
            result = await self._edge.rpc.dump("dispatcher.list")
        except GatewayError:
            return {}
        records = [
            (record["SET"]["ID"], target["DEST"])
            for record in result.get("RECORDS") or ()
            for target in record["SET"]["TARGETS"]
        ]
        parsed = rules.listing(result)
        places = dict.fromkeys(parsed, 0)
        known: dict[tuple[int, str], tuple[rules.Destination, Mapping[str, float]]] = {}
        for number, record in records:
            one = parsed[number][places[number]]
            places[number] += 1
            latency = {str(name): float(value) for name, value in (record.get("LATENCY") or {}).items()}
            known[number, one.uri] = (one, latency)
        return known

    async def _load(self, setid: int, one: rules.Destination) -> int:
        if self.algorithm(setid) != rules.CALL_LOAD:
            return 0
        values = rules.load_values(one.duid, time.time(), self._settings.ds_hash_expire)
        try:
            return sum([int(await self._edge.rpc.call("dlg.profile_get_size", rules.PROFILE, value) or 0)
                        for value in values])  # fmt: skip
        except GatewayError:
            return 0

    async def _rows(self) -> list[Row]:
        return await self._edge.database.run(self._read)

    def _read(self, connection: Connection) -> list[Row]:
        found = connection.execute(select(*self._table.c).order_by(self._table.c.id)).all()
        names = [column.key for column in self._table.c]
        return [Row(**dict(zip(names, values, strict=True))) for values in found]

    def _insert(self, connection: Connection, row: Row) -> Row:
        values = {name: value for name, value in _words(row).items() if name != "id"}
        made = connection.execute(insert(self._table).values(**values)).inserted_primary_key
        return replace(row, id=int(made[0]) if made else 0)

    def _update(self, connection: Connection, row: Row) -> None:
        values = {name: value for name, value in _words(row).items() if name != "id"}
        connection.execute(update(self._table).where(self._table.c.id == row.id).values(**values))


def table(settings: SipDispatcher) -> Table:
    """Kamailio's table under the operator's names (row O02); columns are known here by Kamailio's own."""
    if settings.table_name == "dispatcher" and all(
        getattr(settings, f"{name}_col") == name for name in ("setid", "destination", "flags", "priority", "attrs")
    ):
        return schema.dispatcher
    return Table(
        settings.table_name, MetaData(), Column("id", Integer, primary_key=True),
        Column(settings.setid_col, Integer, key="setid"), Column(settings.destination_col, String, key="destination"),
        Column(settings.flags_col, Integer, key="flags"), Column(settings.priority_col, Integer, key="priority"),
        Column(settings.attrs_col, String, key="attrs"), Column("description", String),
    )  # fmt: skip


def _check(rows: Sequence[Row], setids: Iterable[int]) -> None:
    """The sets that a change touches; ids of all."""
    for setid in setids:
        members = [row for row in rows if row.setid == setid]
        for row in members:
            dispatcher_rows.check(row)
        dispatcher_rows.check_set(members)
    dispatcher_rows.check_ids(rows)


def _one(rows: Iterable[Row], number: int) -> Row:
    found = next((row for row in rows if row.id == number), None)
    if found is None:
        raise NotFound(f"there is no destination {number}")
    return found


def _words(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}


def _text(attributes: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in attributes.items())


def _candidate(one: Shown) -> Candidate:
    assert one.live is not None
    known = rules.Destination(
        one.row.destination, one.live.state[0].upper(), one.live.probing, one.row.priority,
        rules.attributes(one.row.attrs), one.live.latency.get("AVG", 0.0), one.live.latency.get("EST", 0.0),
    )  # fmt: skip
    return known.candidate(one.live.load)


def _news() -> Command:
    """Every process of Kamailio looks again before its next choice."""
    return ("htable.seti", rules.COUNTERS, rules.GENERATION, int(time.time() * 1000) % 2**31)
