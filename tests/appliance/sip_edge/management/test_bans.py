"""Bans as a whole: memory, database, kernel and Kamailio say the same (M06 and M13, the management side)."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import DatabaseUnavailable, InvalidRequest, NoCapacity, NotFound
from appliance.sip_edge.management.ban import Protected
from appliance.sip_edge.management.ban_kernel import KernelBans
from appliance.sip_edge.management.bans import BanRules, Bans
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.news import EdgeEvent
from appliance.sip_edge.management.top_talkers import Filter, top_talkers
from appliance.sip_edge.rpc import Rpc
from appliance.sip_edge.tables import bans as table
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.appliance.sip_edge.fake_rpc import FakeRpc, Refusal
from tests.appliance.sip_edge.management.test_ban_kernel import Holder, net

OURS = (ipaddress.ip_address("192.0.2.1"),)
TRUNKS = {"carrier": (ipaddress.ip_network("198.51.100.0/24"),)}


class Kamailio(FakeRpc):
    """Its table `ipban`: key -> seconds that were asked for."""

    def __init__(self, run: Path) -> None:
        super().__init__(run / "kamailio_rpc.sock", {
            "core.version": lambda: "kamailio 5.6.3", "core.psx": lambda: [{"IDX": 0, "PID": self.pid}],
            "htable.setxi": self._set, "htable.setxs": self._list, "htable.delete": self._delete,
            "htable.get": self._get,
            "htable.dump": lambda name: [
                {"entry": 1, "size": 1, "slot": [{"name": key, "value": value, "type": "int"}]}
                for key, value in self.script.items()
            ],
        })  # fmt: skip
        self.pid = 100
        self.ipban: dict[str, int] = {}
        self.script: dict[str, int] = {}  # what it banned by itself
        self.lengths: dict[str, str] = {}  # its entries "/4" and "/6"

    def _set(self, name: str, key: str, value: int, seconds: int) -> str:
        assert (name, value) == ("ipban", 1)
        self.ipban[key] = seconds
        return "Ok. Key set to new value."

    def _list(self, name: str, key: str, value: str, seconds: int) -> str:
        assert (name, seconds) == ("ipban", 1_000_000_000)
        self.lengths[key] = value
        return "Ok. Key set to new value."

    def _get(self, name: str, key: str) -> Any:
        if key not in self.ipban:
            raise Refusal(500, "Key name doesn't exist in htable.")
        return {"item": {"name": key, "value": 1}}

    def _delete(self, name: str, key: str) -> str:
        if self.ipban.pop(key, None) is None and self.lengths.pop(key, None) is None:
            raise Refusal(404, "Key not found in htable.")
        return "Ok. Key deleted."


class Rig:
    """A control process' bans in `place`; time is `now`, what the holder hears is pumped by `settle`."""

    def __init__(self, place: Path, most: int = 100, holder: Holder | None = None) -> None:
        self.now = time.time()
        self.holder = holder or Holder()
        self.kernel = KernelBans(self.holder, {5060}, lambda: self.now)
        database = Database(f"sqlite:///{place}/sip/kamailio.sqlite")
        self.edge = Edge(
            Rpc(place / "run" / "kamailio_rpc.sock", timeout_s=0.5), database, Audit(place / "audit.jsonl")
        )
        rules = BanRules(most=most, ours=lambda: OURS, trunks=TRUNKS, kernel=("xdp",))
        self.bans = Bans(self.edge, rules, self.kernel, lambda: self.now)

    async def __aenter__(self) -> Rig:
        await self.edge.start()
        await self.bans.start()
        await self.until(lambda: self.bans._loaded)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.bans.stop()
        await self.edge.stop()

    async def until(self, what: Callable[[], Any]) -> None:
        """Let it work until something is true."""
        async with asyncio.timeout(8):
            while not what():
                self.holder.deliver(self.kernel)
                await asyncio.sleep(0.01)

    async def settle(self) -> None:
        await self.until(lambda: self.kernel.settled() and not self.bans._unsaved)

    def stored(self) -> dict[str, float | None]:
        found = self.edge.database.run_here(lambda connection: table.load(connection, self.now))
        return {str(ban.network): ban.until for ban in found}

    def banned(self, source: str, **details: str) -> None:
        """The routing script bans."""
        self.edge.news.bus.publish(EdgeEvent(self.now, "sip_banned", "pike", source=source, details=details))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
async def rig(place: Path) -> AsyncIterator[Rig]:
    async with Rig(place) as made:
        yield made


@pytest.fixture
async def kamailio(place: Path) -> AsyncIterator[Kamailio]:
    with Kamailio(place / "run") as running:
        yield running


async def test_everywhere_at_once_and_back(kamailio: Kamailio, rig: Rig) -> None:
    made = await rig.bans.ban("local:eve", "203.0.113.7", 600, reason="scanner")
    await rig.settle()
    assert kamailio.ipban == {"203.0.113.7": 600}
    assert rig.holder.means.banned == {"203.0.113.7/32"}
    assert rig.stored() == {"203.0.113.7/32": pytest.approx(rig.now + 600)}
    assert rig.bans.bans() == [made]
    await rig.bans.unban("local:eve", "203.0.113.7/32")
    await rig.settle()
    assert (kamailio.ipban, rig.holder.means.banned, rig.stored(), rig.bans.bans()) == ({}, set(), {}, [])
    add, remove = reversed(rig.edge.audit.records(10))
    assert (add.who, add.action, add.target, add.before) == ("local:eve", "bans add", "203.0.113.7/32", None)
    assert add.after["reason"] == "scanner"
    assert (remove.action, remove.after) == ("bans remove", None)


async def test_networks_permanent_and_both_families(kamailio: Kamailio, rig: Rig) -> None:
    await rig.bans.ban("local", "203.0.113.0/24", permanent=True)
    await rig.bans.ban("local", "2001:db8::5")
    await rig.settle()
    assert kamailio.ipban == {"203.0.113.0/24": 1_000_000_000, "2001:db8::5": 3600}
    assert rig.stored() == {"203.0.113.0/24": None, "2001:db8::5/128": pytest.approx(rig.now + 3600)}
    around = rig.bans.bans(ipaddress.ip_address("203.0.113.77"))
    assert [str(one.network) for one in around] == ["203.0.113.0/24"]
    assert rig.bans.bans(ipaddress.ip_address("203.0.114.1")) == []


async def test_what_was_banned_while_nobody_listened_is_taken_over(kamailio: Kamailio, rig: Rig) -> None:
    """M13: the script writes a ban's end into Kamailio's table; ours (value 1), a trunk's and those that are over are
    not taken."""
    end = int(rig.now) + 200
    kamailio.script = {"203.0.113.66": end, "203.0.113.67": 1, "198.51.100.5": end, "203.0.113.68": end - 300, "/4": 24}
    rig.bans._pid = 0
    await rig.until(lambda: rig.bans.bans())
    assert [(str(one.network), one.until, one.rule) for one in rig.bans.bans()] == [("203.0.113.66/32", end, "flood")]
    assert rig.bans.refused == 1
    await rig.settle()
    assert rig.holder.means.banned == {"203.0.113.66/32"}


async def test_kamailio_is_told_which_networks_to_look_for(kamailio: Kamailio, rig: Rig) -> None:
    """M13 without a kernel: the prefix lengths in use, the longest first; a restarted Kamailio hears them again."""
    for network in ("203.0.113.0/24", "10.5.0.0/16", "198.18.5.0/24", "2001:db8::/32", "203.0.113.7"):
        await rig.bans.ban("local", network)
    await rig.settle()
    assert kamailio.lengths == {"/4": "24 16", "/6": "32"}
    for network in ("203.0.113.0/24", "10.5.0.0/16", "2001:db8::/32"):
        await rig.bans.unban("local", network)
    assert kamailio.lengths == {"/4": "24"}
    kamailio.lengths.clear()
    rig.bans.table.start((one.network, one.end) for one in rig.bans.bans())
    await rig.bans.table.carry()
    assert kamailio.lengths == {"/4": "24"}


async def test_validated(rig: Rig) -> None:
    """Nothing of a refused ban is anywhere, not even in the audit log."""
    text = "203.0.113.7"
    wrong = (
        {"text": "nonsense"}, {"text": text, "seconds": 0}, {"text": text, "seconds": 10**9},
        {"text": text, "reason": "x" * 201}, {"text": text, "reason": "a\nb"},
        {"text": text, "seconds": 5, "permanent": True},
    )  # fmt: skip
    for words in wrong:
        with pytest.raises(InvalidRequest):
            await rig.bans.ban("local", **words)  # type: ignore[arg-type]
    for text in ("192.0.2.0/24", "198.51.100.9"):
        with pytest.raises(Protected):
            await rig.bans.ban("local", text)
    with pytest.raises(NotFound):
        await rig.bans.unban("local", "203.0.113.7")
    assert (rig.bans.bans(), rig.stored(), rig.edge.audit.records(10)) == ([], {}, [])
    await rig.bans.ban("local", "198.51.100.9", force=True)
    assert len(rig.bans) == 1


async def test_what_the_script_bans_is_taken_over(kamailio: Kamailio, rig: Rig) -> None:
    """Stored and in the kernel; not said to Kamailio, which has it. Ours and trunks are left alone, and counted."""
    for source in ("203.0.113.7", "2001:db8::5", "198.51.100.9", "192.0.2.1", "", "nonsense"):
        rig.banned(source)
    rig.banned("203.0.113.8", seconds="60")
    await rig.until(lambda: len(rig.bans) == 3)
    await rig.settle()
    ends = {"203.0.113.7/32": 300, "203.0.113.8/32": 60, "2001:db8::5/128": 300}
    assert rig.stored() == {name: pytest.approx(rig.now + left) for name, left in ends.items()}
    assert rig.holder.means.banned == set(ends)
    assert {one.rule for one in rig.bans.bans()} == {"pike"}
    assert (rig.bans.refused, kamailio.ipban) == (2, {})


async def test_an_operator_s_longer_ban_stays(rig: Rig) -> None:
    await rig.bans.ban("local", "203.0.113.7", permanent=True)
    await rig.bans.ban("local", "203.0.113.8", 10)
    rig.banned("203.0.113.7")
    rig.banned("203.0.113.8")
    await rig.until(lambda: rig.bans.bans()[1].rule == "pike")
    assert [(one.rule, one.until) for one in rig.bans.bans()] == [
        ("manual", None), ("pike", pytest.approx(rig.now + 300))]  # fmt: skip


async def test_lifted_although_its_event_was_lost(kamailio: Kamailio, rig: Rig) -> None:
    kamailio.ipban["203.0.113.7"] = 300
    await rig.bans.unban("local", "203.0.113.7")
    assert kamailio.ipban == {}
    with pytest.raises(NotFound):
        await rig.bans.unban("local", "203.0.113.7")


async def test_ends_at_its_time(kamailio: Kamailio, rig: Rig) -> None:
    await rig.bans.ban("local", "203.0.113.7", 10)
    await rig.bans.ban("local", "203.0.113.8", 20)
    rig.now += 11
    await rig.until(lambda: len(rig.bans) == 1)
    await rig.settle()
    assert list(rig.stored()) == ["203.0.113.8/32"]


async def test_survive_a_restart(place: Path, kamailio: Kamailio) -> None:
    """A new control process reads them, names them to the holder (which forgets what is not among them) and to
    Kamailio; what ended meanwhile is gone from the database too."""
    async with Rig(place) as first:
        await first.bans.ban("local", "203.0.113.7", 600, reason="scanner")
        await first.bans.ban("local", "203.0.113.8", 5)
        first.banned("203.0.113.9")
        await first.until(lambda: len(first.bans) == 3)
    kamailio.ipban.clear()
    kamailio.pid += 1
    holder = first.holder
    holder.messages.clear()
    second = Rig(place, holder=holder)
    holder.held.obey(b'{"ticket": 1, "do": "ban", "bans": [["203.0.113.99/32", null]]}', 0.0)
    second.now = first.now + 10
    async with second:
        await second.settle()
        await second.until(lambda: len(kamailio.ipban) == 2)
        assert holder.means.banned == {"203.0.113.7/32", "203.0.113.9/32"}
        assert kamailio.ipban == {"203.0.113.7": 590, "203.0.113.9": 290}
        (manual, _) = second.bans.bans()
        assert (manual.reason, manual.who, manual.since) == ("scanner", "local", pytest.approx(first.now))


async def test_a_restarted_kamailio_is_told_again(kamailio: Kamailio, rig: Rig) -> None:
    await rig.edge._sample()
    await rig.bans.ban("local", "203.0.113.7", 600)
    kamailio.ipban.clear()
    kamailio.pid += 1
    await rig.edge._sample()
    await rig.until(lambda: kamailio.ipban == {"203.0.113.7": 600})


async def test_full(place: Path, kamailio: Kamailio) -> None:
    """The ban that ends first gives way everywhere; one that would end before all others is refused."""
    async with Rig(place, most=16) as rig:
        for n in range(16):
            await rig.bans.ban("local", str(net(n)), 100 + n)
        await rig.bans.ban("local", "203.0.113.7", 500)
        await rig.settle()
        for there in (rig.holder.means.banned, set(rig.stored())):
            assert there == {"203.0.113.7/32", *(str(net(n)) for n in range(1, 16))}
        assert "10.0.0.0" not in kamailio.ipban
        with pytest.raises(NoCapacity):
            await rig.bans.ban("local", "203.0.113.8", 1)
        await rig.settle()
        assert (len(rig.bans), len(rig.stored()), rig.bans.given_way) == (16, 16, 2)


async def test_a_storm_of_bans(place: Path) -> None:
    """10,000 from as many sources: bounded in memory, kernel and database, and the loop goes on turning."""
    async with Rig(place, most=4096) as rig:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)  # a loop that spins would keep the database's thread from the GIL

        task = asyncio.create_task(others())
        for n in range(10_000):
            rig.banned(str(net(n).network_address))
            if n % 256 == 255:  # as News reads them
                await asyncio.sleep(0)
        await rig.until(lambda: rig.bans.given_way + len(rig.bans) == 10_000)
        await rig.settle()
        task.cancel()
        assert (len(rig.bans), len(rig.stored()), len(rig.holder.means.banned)) == (4096, 4096, 4096)
        assert turns > 50


async def test_events_too_fast_are_counted(rig: Rig) -> None:
    for n in range(5000):  # more than a watcher may lag behind
        rig.banned(str(net(n).network_address))
    await rig.until(lambda: rig.bans.lost == 1)
    rig.banned("203.0.113.7")
    await rig.until(lambda: len(rig.bans) == 1)


async def test_without_its_database(rig: Rig, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator is told; the script's bans hold in the kernel and are written when it is back."""
    run = rig.edge.database.run

    async def away(work: Any) -> Any:
        raise DatabaseUnavailable("gone fishing")

    monkeypatch.setattr(rig.edge.database, "run", away)
    with pytest.raises(DatabaseUnavailable):
        await rig.bans.ban("local", "203.0.113.7")
    rig.banned("203.0.113.8")
    await rig.until(lambda: rig.holder.means.banned == {"203.0.113.8/32"})
    await rig.until(lambda: rig.bans.unsaved_why == "gone fishing")
    monkeypatch.setattr(rig.edge.database, "run", run)
    await rig.settle()
    assert list(rig.stored()) == ["203.0.113.8/32"]
    assert rig.bans.unsaved_why == ""


async def test_without_kamailio_and_without_flood_protection(rig: Rig, place: Path) -> None:
    """The ban holds in the kernel; where it does not hold is said."""
    await rig.bans.ban("local", "203.0.113.7")
    assert "not up" in rig.bans.table.why
    assert rig.bans.means == ("xdp",)
    with FakeRpc(place / "run" / "kamailio_rpc.sock", {"htable.setxi": _no_table, "htable.delete": _no_table}):
        await rig.bans.ban("local", "203.0.113.8")
        assert rig.bans.table.why == "ipban: No such htable"
    assert len(rig.bans) == 2


def _no_table(*words: Any) -> None:
    raise Refusal(500, "No such htable")


async def test_top_talkers(place: Path) -> None:
    """M11: by hits; HOT and WARM are chosen here (pike.top WARM of 5.6.3 leaves out what is warm)."""
    rows = [
        ("10.0.0.1", 3, 9, "WARM"),
        ("10.0.0.2", 40, 0, "HOT"),
        ("10.0.0.3", 1, 0, "ALL"),
        ("10.0.0.4", 50, 1, "HOT"),
    ]
    listed = [{"ip_addr": a, "leaf_hits_curr": now, "leaf_hits_prev": before, "expires": 4, "status": status}
              for a, now, before, status in rows]  # fmt: skip
    answers = {"pike.top": lambda which: {"max_hits": 16, "list": listed if which == "ALL" else listed[1::2]}}
    rpc = Rpc(place / "run" / "kamailio_rpc.sock")
    with FakeRpc(rpc.path, answers) as asked:
        found = {which: [one.address[-1] for one in await top_talkers(rpc, which, 3)] for which in Filter}
        assert found == {Filter.ALL: ["4", "2", "1"], Filter.HOT: ["4", "2"], Filter.WARM: ["1"]}
        assert [words for _, words in asked.asked] == [("ALL",), ("HOT",), ("ALL",)]
