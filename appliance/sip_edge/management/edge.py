"""The one way to change what the SIP edge works with: table, audit log, Kamailio's memory, in this order.

    change -> lock -> transaction { work, audit } -> RPC reloads -> Applied
                                                        | Kamailio is away: the change stays, it reads tables at start
                                                        | Kamailio says no: the rows go back, are loaded again, and
                                                          the error says why
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import Connection

from appliance.errors import EdgeRefused, GatewayError
from appliance.sip_edge.kamailio import EVENTS
from appliance.sip_edge.management.news import News
from appliance.sip_edge.management.status import EdgeStatus, read
from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable
from appliance.sip_edge.tables.database import Database
from appliance.sip_edge.tables.undo import Undo
from appliance.telemetry.audit import Audit

T = TypeVar("T")

Command = tuple[str | int, ...]  # an RPC method and its parameters: ("dispatcher.reload",)

SAMPLE_S = 5.0

log = structlog.get_logger("srtpgw.edge")


@dataclass(frozen=True)
class Changed(Generic[T]):
    """What `work` did: `value` for the caller, `before` and `after` for the audit log."""

    value: T
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Applied(Generic[T]):
    """`live`: the running Kamailio has it. Else it is not running, and has it when it starts."""

    value: T
    live: bool


class Edge:
    """Tables, RPC and audit log of the SIP edge. One writer at a time; readers are not held up."""

    def __init__(self, rpc: Rpc, database: Database, audit: Audit, account: str = "") -> None:
        """`account`: whom Kamailio runs as; whose the files of SQLite are when root makes them, whose events are
        believed."""
        self.rpc, self.database, self.audit = rpc, database, audit
        self.news = News(rpc.path.parent / EVENTS, account)
        self.status = EdgeStatus(why="not asked yet")  # as of the last sample
        self.database_why = "not opened yet"  # empty: the database answers
        self._account = account
        self._sampling: asyncio.Task[None] | None = None
        self._sampled = -SAMPLE_S
        self._lock = asyncio.Lock()
        self._making: set[asyncio.Future[Any]] = set()

    async def start(self) -> None:
        """Make the tables, listen. A database that is away does not keep the gateway from starting: `tick` retries."""
        await self._sample()
        self._sampled = asyncio.get_running_loop().time()
        self.tick()

    async def stop(self) -> None:
        """Finish what was begun."""
        if self._sampling is not None:
            self._sampling.cancel()
        await asyncio.gather(*self._making, *filter(None, [self._sampling]), return_exceptions=True)
        self.news.close()
        self.database.close()

    def tick(self) -> None:
        """Each second: open what could not be opened; every SAMPLE_S look how Kamailio is (metrics)."""
        self.news.tick()
        now = asyncio.get_running_loop().time()
        if now - self._sampled >= SAMPLE_S and (self._sampling is None or self._sampling.done()):
            self._sampled = now
            self._sampling = asyncio.create_task(self._sample(), name="edge status")

    async def _sample(self) -> None:
        await self._look_at_database()
        self.status = await read(self.rpc)

    async def _look_at_database(self) -> None:
        """Make the tables until that worked, and again when it was away: it may be another one."""
        try:
            if self.database_why:
                await asyncio.to_thread(self.database.create, (), self._account)
            else:
                await asyncio.to_thread(self.database.check)
            self.database_why = ""
        except GatewayError as error:
            if self.database_why != str(error):
                log.warning("the SIP edge's database cannot be used", why=str(error))
            self.database_why = str(error)

    async def change(
        self,
        who: str,
        action: str,
        target: str,
        work: Callable[[Connection], Changed[T]],
        reload: Sequence[Command] = (),
    ) -> Applied[T]:
        """One audited change. `work` runs in a thread, in a transaction; it validates and raises errors of
        `appliance.errors`, then nothing is changed and nothing recorded. DatabaseUnavailable, AuditUnavailable,
        EdgeRefused."""
        return await self._finished(self._change(who, action, target, work, tuple(reload)))

    async def tell(
        self, who: str, action: str, target: str, commands: Sequence[Command], before: Any = None, after: Any = None
    ) -> list[Any]:
        """Commands that change Kamailio's memory alone (a ban lifted, a destination disabled), audited. The results;
        RpcUnavailable, RpcRefused, AuditUnavailable."""
        return await self._finished(self._tell(who, action, target, tuple(commands), before, after))

    async def _finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Whoever asked may go away: what was begun is finished."""
        making = asyncio.ensure_future(work)
        self._making.add(making)
        making.add_done_callback(self._making.discard)
        return await asyncio.shield(making)

    async def _tell(
        self, who: str, action: str, target: str, commands: Sequence[Command], before: Any, after: Any
    ) -> list[Any]:
        async with self._lock:
            await self._record(who, action, target, before, after)
            try:
                return [await self.rpc.call(str(method), *words) for method, *words in commands]
            except (RpcUnavailable, RpcRefused) as error:
                await self._record(who, f"{action} failed", target, None, {"why": str(error)})
                raise

    async def _record(self, who: str, action: str, target: str, before: Any, after: Any) -> None:
        await asyncio.to_thread(self.audit.record, who, action, target, before, after)

    async def _change(
        self, who: str, action: str, target: str, work: Callable[[Connection], Changed[T]], reload: Sequence[Command]
    ) -> Applied[T]:
        undo: Undo | None = None
        recorded = False

        def transact(connection: Connection) -> Changed[T]:
            nonlocal undo, recorded
            if reload:
                with Undo(connection) as undo:
                    changed = work(connection)
            else:
                changed = work(connection)
            self.audit.record(who, action, target, changed.before, changed.after)  # raises: nothing is changed
            recorded = True
            return changed

        async with self._lock:
            try:
                changed = await self.database.run(transact)
            except GatewayError as error:
                if recorded:  # the commit itself failed
                    await self._record(who, f"{action} taken back", target, None, {"refused": str(error)})
                raise
            try:
                return Applied(changed.value, await self._load(reload))
            except RpcRefused as error:
                assert undo is not None
                await self._take_back(who, action, target, undo, reload, error)
                raise EdgeRefused(f"the SIP edge does not take it, nothing is changed: {error}") from None

    async def _load(self, reload: Sequence[Command]) -> bool:
        """Tell Kamailio to read its tables. False when it is away. RpcRefused."""
        try:
            for method, *words in reload:
                await self.rpc.call(str(method), *words)
            return True if reload else await self.rpc.up()
        except RpcUnavailable as error:
            log.warning("the SIP edge is away; it will have the change when it starts", why=str(error))
            return False

    async def _take_back(
        self, who: str, action: str, target: str, undo: Undo, reload: Sequence[Command], why: RpcRefused
    ) -> None:
        def revert(connection: Connection) -> None:
            undo.revert(connection)
            self.audit.record(who, f"{action} taken back", target, after={"refused": why.message})

        await self.database.run(revert)
        for command in reload:  # those before the refused one were loaded
            with contextlib.suppress(RpcUnavailable, RpcRefused):
                await self.rpc.call(str(command[0]), *command[1:])
