"""Who is banned: one table in memory, written to the database, to the kernel (the media holder) and to Kamailio.

    operator (gRPC)   -> check -> database and audit log, then memory -> kernel, Kamailio
    routing script    -> check -> memory -> kernel at once, database in batches          (Kamailio has it already)
    its time is over  -> memory, database; kernel and Kamailio end it by themselves
    start             -> database -> memory -> kernel and Kamailio; a restarted Kamailio is told again

A storm of bans costs bounded memory and bounded turns of the event loop: the table is bounded, changes of one network
that are not written yet are one change, what is written goes in batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import structlog
from sqlalchemy import Connection

from appliance.errors import GatewayError, InvalidRequest, NoCapacity, NotFound
from appliance.sip_edge.ksr.rules.flood import BANS
from appliance.sip_edge.management.ban import Address, Ban, Protected, check, network
from appliance.sip_edge.management.ban_htable import TableBans, key
from appliance.sip_edge.management.ban_kernel import KernelBans
from appliance.sip_edge.management.edge import Changed, Edge
from appliance.sip_edge.management.news import EdgeEvent
from appliance.sip_edge.rpc import RpcRefused, RpcUnavailable
from appliance.sip_edge.tables import bans as rows
from kernels.control.ban_table import BanTable, Network

MANUAL = "manual"
BANNED = "sip_banned"  # the event of the routing script
SCRIPT_S = 300  # a ban of the script that does not say how long: the ban table's own (row M06)
LONGEST_S = 31_536_000
LONGEST_REASON = 200
BATCH = 2000  # rows of one transaction
LOOK_S = 5.0  # how old the sums of dropped packets may be (metrics)
EVERY_S = 0.1  # batches go out at most so often
AT_ONCE = 512  # events between two turns of the loop: twice of what `News` reads in one
OURS_S = 5.0  # how long the list of our addresses is believed

log = structlog.get_logger("srtpgw.bans")


@dataclass(frozen=True)
class BanRules:
    """What the settings say. `ours`: every address of this machine; `trunks`: networks by trunk."""

    seconds: int = 3600
    most: int = 16_384
    ours: Callable[[], Iterable[Address]] = tuple
    trunks: Mapping[str, Sequence[Network]] = field(default_factory=dict)
    kernel: tuple[str, ...] = ()  # ways to drop in the kernel: xdp, sk_lookup
    kernel_why: str = ""  # why these


class Bans:
    """`start`, `stop`; what is banned is in memory, readers do not wait."""

    def __init__(
        self, edge: Edge, rules: BanRules, kernel: KernelBans | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.edge, self.rules, self.kernel = edge, rules, kernel
        self.table = TableBans(edge.rpc, clock)
        self.lost = self.refused = 0  # of the script: events missed; bans of our own addresses and of trunks
        self.unsaved_why = ""  # the database does not take them: they do not survive a restart
        self._clock = clock
        self._order = BanTable(rules.most)
        self._bans: dict[Network, Ban] = {}
        self._unsaved: dict[Network, Ban | None] = {}  # None: remove
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._loaded = False
        self._looked = 0.0
        self._pid = 0  # of the Kamailio that has been told
        self._ours: tuple[float, frozenset[Address]] = (0.0, frozenset())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """After the edge: reads the database as soon as that answers."""
        self._tasks = [asyncio.create_task(self._listen(), name="bans of the script"),
                       asyncio.create_task(self._carry(), name="bans to the database")]  # fmt: skip

    async def stop(self) -> None:
        """Before the edge. What waits for the database is written."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._unsaved and await self._save():
            pass

    # -- for operators -----------------------------------------------------------------------------------

    async def ban(
        self, who: str, text: str, seconds: int | None = None, *, permanent: bool = False, reason: str = "",
        force: bool = False,
    ) -> Ban:  # fmt: skip
        """Ban, or set a ban's end anew. InvalidRequest (Protected), NoCapacity, DatabaseUnavailable."""
        wanted, now = network(text), self._clock()
        if seconds is not None and (permanent or not 0 < seconds <= LONGEST_S):
            raise InvalidRequest(f"seconds: 1 to {LONGEST_S}, or permanent without any", "seconds")
        if len(reason) > LONGEST_REASON or not reason.isprintable():
            raise InvalidRequest(f"reason: at most {LONGEST_REASON} printable characters", "reason")
        check(wanted, self._own(now), self.rules.trunks, force=force)
        until = None if permanent else now + (seconds or self.rules.seconds)
        made = Ban(wanted, now, until, MANUAL, reason, who)
        async with self._writing:
            before = self._bans.get(wanted)
            await self.edge.change(who, "bans add", str(wanted), lambda connection: _store(connection, made, before))
            kept = self._put(made)
            self._unsaved.pop(wanted, None)
            if not kept:
                self._unsaved[wanted] = None
        self._push()
        if not kept:
            raise NoCapacity(f"{self.rules.most} bans that all hold longer: raise sip_bans.most, or lift some")
        await self.table.carry()
        return made

    async def unban(self, who: str, text: str) -> Ban:
        """Lift, everywhere, at once. NotFound."""
        wanted = network(text)
        async with self._writing:
            before = self._bans.get(wanted)
            if before is None:
                return await self._unban_in_kamailio(who, wanted)
            await self.edge.change(who, "bans remove", str(wanted), lambda connection: _remove(connection, before))
            self._lift(wanted)
            self._unsaved.pop(wanted, None)
        self._push()
        await self.table.carry()
        return before

    def bans(self, around: Address | None = None) -> list[Ban]:
        """All, or those that concern an address, by network."""
        found = self._bans.values() if around is None else self._around(around)
        return sorted(found, key=lambda ban: position(ban.network))

    async def dropped(self, networks: Sequence[Network]) -> list[int]:
        """Packets that the kernel dropped, by network; zeros without the kernel."""
        return await self.kernel.dropped(networks) if self.kernel else [0] * len(networks)

    @property
    def means(self) -> tuple[str, ...]:
        """Where the banned are kept out now."""
        return (*self.rules.kernel, *(() if self.table.why else ("kamailio",)))

    @property
    def totals(self) -> dict[str, int]:
        """Packets dropped by each means in the kernel since the media holder started."""
        return dict(self.kernel.state.total) if self.kernel else {}

    @property
    def given_way(self) -> int:
        """Bans that ended early for want of room."""
        return self._order.given_way

    def __len__(self) -> int:
        return len(self._bans)

    def _around(self, address: Address) -> list[Ban]:
        networks = (ipaddress.ip_network((address, bits), strict=False) for bits in range(address.max_prefixlen + 1))
        return [self._bans[one] for one in networks if one in self._bans]

    async def _unban_in_kamailio(self, who: str, wanted: Network) -> Ban:
        """Its event may have been lost: then only Kamailio knows. NotFound."""
        try:
            await self.edge.rpc.call("htable.get", BANS, key(wanted))
        except (RpcRefused, RpcUnavailable):
            raise NotFound(f"{wanted} is not banned") from None
        await self.edge.tell(who, "bans remove", str(wanted), [("htable.delete", BANS, key(wanted))])
        return Ban(wanted, 0.0, None, "unknown")

    # -- of the routing script ---------------------------------------------------------------------------

    async def _listen(self) -> None:
        bus = self.edge.news.bus
        while True:
            watcher = bus.join()
            try:
                count = 0
                while (event := await watcher.get()) is not None:
                    if event.event == BANNED:
                        self.heard(event)
                    count += 1
                    if count % AT_ONCE == 0:
                        await asyncio.sleep(0)
                return
            except NoCapacity:
                self.lost += 1
                self._pid = 0  # to be asked what it banned
                log.warning("bans of the SIP edge came too fast; some are in Kamailio alone")
            finally:
                bus.leave(watcher)

    def heard(self, event: EdgeEvent) -> None:
        """A source that the script has banned. What it must not ban is counted and left alone."""
        with contextlib.suppress(InvalidRequest):
            end = self._clock() + _seconds(event.details.get("seconds"))
            self._taken(network(event.source), end, event.rule or "flood")

    def _taken(self, wanted: Network, end: float, rule: str) -> None:
        now = self._clock()
        try:
            check(wanted, self._own(now), self.rules.trunks, force=False)
        except Protected as error:
            self.refused += 1
            log.warning("ban of the SIP edge not taken over", why=str(error), rule=rule)
            return
        before = self._bans.get(wanted)
        made = Ban(wanted, now, end, rule)
        if before is None or before.end < made.end:  # an operator's longer ban stays
            kept = self._put(made, in_kamailio=True)
            self._unsaved[wanted] = made if kept else None
            self._wake.set()

    async def _adopt(self) -> None:
        """What the script banned while nobody listened."""
        try:
            found = await self.table.found()
        except (RpcRefused, RpcUnavailable):
            return  # it has no such table; or it went away, and another one comes
        for wanted, end in found.items():
            self._taken(wanted, end, "flood")

    # -- one table, four places --------------------------------------------------------------------------

    def _put(self, ban: Ban, *, in_kamailio: bool = False) -> bool:
        """False: there is no room for it."""
        loser = self._order.put(ban.network, ban.end)
        if loser is not None and loser != ban.network:
            self._lift(loser, ordered=False)
            self._unsaved[loser] = None
        if loser == ban.network:
            return False
        self._bans[ban.network] = ban
        if self.kernel:
            self.kernel.change(ban.network, ban.end)
        if not in_kamailio:
            self.table.change(ban.network, ban.end)
        return True

    def _lift(self, wanted: Network, *, ordered: bool = True) -> None:
        if ordered:
            self._order.remove(wanted)
        self._bans.pop(wanted, None)
        self.table.change(wanted, None)
        if self.kernel:
            self.kernel.change(wanted, None)

    def _push(self) -> None:
        if self.kernel:
            self.kernel.pump()
        self._wake.set()

    async def _carry(self) -> None:
        """Everything that is not at once. A mistake in it is logged and does not end it."""
        while True:
            self._wake.clear()
            try:
                await self._turn()
            except Exception as error:
                log.error("bans cannot be carried on", error=type(error).__name__, why=str(error))
            if not (self.table.busy or (self._unsaved and not self.unsaved_why)):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):  # wait_for of 3.11 may swallow our end
                        await self._wake.wait()
            await asyncio.sleep(EVERY_S)

    async def _turn(self) -> None:
        if not self._loaded:
            await self._load()
        for over in self._order.expired(self._clock()):
            self._bans.pop(over, None)
            self._unsaved[over] = None
            if self.kernel:
                self.kernel.forget(over)
        if self.kernel:
            self.kernel.tick()
            if not 0 <= self._clock() - self._looked < LOOK_S:
                self._looked = self._clock()
                self.kernel.look()
        if self.edge.status.pid != self._pid:  # another Kamailio, or one that ran before us
            self._pid = self.edge.status.pid
            self.table.start((network, ban.end) for network, ban in self._bans.items())
            await self._adopt()
        await self.table.carry()
        await self._save()

    async def _load(self) -> None:
        """What held when the last control process ended; what was banned meanwhile goes before."""
        now = self._clock()

        def read(connection: Connection) -> list[Ban]:
            rows.prune(connection, now)
            return rows.load(connection, now)

        if self.edge.database_why:
            return  # the edge says so, and tries again
        for ban in await self.edge.database.run(read):
            if ban.network not in self._bans:
                self._put(ban)
        if self.kernel:
            self.kernel.start((network, ban.end) for network, ban in self._bans.items())
        self._loaded = True
        log.info("bans restored", count=len(self._bans))

    async def _save(self) -> bool:
        """One batch to the database; was it taken?"""
        async with self._writing:
            batch = dict(islice(self._unsaved.items(), BATCH))
            if not batch:
                return True
            changed = [ban for ban in batch.values() if ban is not None]
            gone = [str(network) for network, ban in batch.items() if ban is None]
            try:
                await self.edge.database.run(lambda connection: rows.save(connection, changed, gone))
            except GatewayError as error:
                if str(error) != self.unsaved_why:
                    log.warning("bans are not in the database; they hold until a restart", why=str(error))
                self.unsaved_why = str(error)
                return False
            self.unsaved_why = ""
            for network, ban in batch.items():
                if self._unsaved.get(network, ...) is ban:  # not changed again meanwhile
                    del self._unsaved[network]
            return True

    def _own(self, now: float) -> frozenset[Address]:
        if not 0 <= now - self._ours[0] < OURS_S:
            self._ours = now, frozenset(self.rules.ours())
        return self._ours[1]


def position(network: Network) -> tuple[int, int, int]:
    """Order of networks, both families: IPv4 first."""
    return network.version, int(network.network_address), network.prefixlen


def _seconds(told: Any) -> float:
    """How long the script bans."""
    return float(told) if isinstance(told, str) and told.isdecimal() and 0 < len(told) < 9 else float(SCRIPT_S)


def _store(connection: Connection, made: Ban, before: Ban | None) -> Changed[Ban]:
    rows.save(connection, [made], ())
    return Changed(made, _shown(before), _shown(made))


def _remove(connection: Connection, before: Ban) -> Changed[Ban]:
    rows.save(connection, (), [str(before.network)])
    return Changed(before, _shown(before))


def _shown(ban: Ban | None) -> dict[str, Any] | None:
    return None if ban is None else {**asdict(ban), "network": str(ban.network)}
