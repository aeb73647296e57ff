"""Edge.change: transaction, audit, reload; and what is left when one of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from appliance.errors import AuditUnavailable, DatabaseUnavailable, EdgeRefused, NotFound
from appliance.sip_edge.management.edge import Changed, Edge
from appliance.sip_edge.rpc import Rpc, RpcUnavailable
from appliance.sip_edge.tables import schema
from appliance.sip_edge.tables.database import Database, rows
from appliance.telemetry.audit import Audit
from tests.appliance.sip_edge.fake_rpc import FakeRpc, Refusal

RELOAD = (("dispatcher.reload",), ("permissions.addressReload", 1))
TABLE = schema.dispatcher


class Kamailio(FakeRpc):
    """Loads the dispatcher table at each reload, as the real one does; refuses what `refuse` says."""

    def __init__(self, run: Path, database: Database) -> None:
        super().__init__(run / "kamailio_rpc.sock", {
            "core.version": lambda: "kamailio 5.6.3", "dispatcher.reload": self._reload,
            "permissions.addressReload": self._address,
        })  # fmt: skip
        self.database = database
        self.loaded: list[str] = []
        self.refuse = ""  # destination it does not take
        self.refuse_address = False

    def _reload(self) -> str:
        found = [row["destination"] for row in self.database.run_here(_table)]
        if self.refuse in found:
            raise Refusal(500, "Reload Failed")
        self.loaded = found
        return "Ok"

    def _address(self, number: int) -> str:
        if self.refuse_address:
            raise Refusal(500, "Reload Failed")
        return "Ok"


def _table(connection: Connection) -> list[dict[str, Any]]:
    return rows(connection, select(TABLE).order_by(TABLE.c.id))


def _add(uri: str) -> Any:
    def work(connection: Connection) -> Changed[int]:
        done = connection.execute(insert(TABLE).values(setid=1, destination=uri))
        return Changed(int(done.inserted_primary_key[0]), None, {"destination": uri})

    return work


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
async def edge(tmp_path: Path, run: Path) -> AsyncIterator[Edge]:
    database = Database(f"sqlite:///{tmp_path}/sip/kamailio.sqlite")
    made = Edge(Rpc(run / "kamailio_rpc.sock", timeout_s=0.5), database, Audit(tmp_path / "audit.jsonl"))
    await made.start()
    yield made
    await made.stop()


async def test_live(edge: Edge, run: Path) -> None:
    with Kamailio(run, edge.database) as kamailio:
        applied = await edge.change("local", "destinations add", "1", _add("sip:a"), RELOAD)
        assert (applied.value, applied.live) == (1, True)
        assert kamailio.loaded == ["sip:a"]
        assert kamailio.asked == [("dispatcher.reload", ()), ("permissions.addressReload", (1,))]
    (record,) = edge.audit.records(10)
    assert (record.who, record.action, record.after) == ("local", "destinations add", {"destination": "sip:a"})


async def test_without_kamailio_the_change_stays(edge: Edge, run: Path) -> None:
    assert not (await edge.change("local", "add", "1", _add("sip:a"), RELOAD)).live
    assert [row["destination"] for row in await edge.database.run(_table)] == ["sip:a"]
    assert not (await edge.change("local", "add", "1", _add("sip:b"))).live
    with Kamailio(run, edge.database) as kamailio:
        assert (await edge.change("local", "add", "1", _add("sip:c"))).live  # no reload needed: it is there
        assert kamailio.methods() == ["core.version"]


async def test_refused_reload_is_taken_back(edge: Edge, run: Path) -> None:
    """Rows that were added, changed and removed are what they were, with their ids; Kamailio loads them again."""
    with Kamailio(run, edge.database) as kamailio:
        for uri in ("sip:a", "sip:b", "sip:c"):
            await edge.change("local", "add", uri, _add(uri), RELOAD)
        before = await edge.database.run(_table)

        def work(connection: Connection) -> Changed[None]:
            connection.execute(update(TABLE).where(TABLE.c.destination == "sip:a").values(attrs="weight=50"))
            connection.execute(delete(TABLE).where(TABLE.c.destination == "sip:b"))
            connection.execute(insert(TABLE).values(setid=2, destination="sip:bad"))
            connection.execute(
                insert(TABLE), [{"setid": 3, "destination": "sip:d"}, {"setid": 3, "destination": "sip:e"}]
            )
            return Changed(None)

        kamailio.refuse = "sip:bad"
        with pytest.raises(EdgeRefused, match="Reload Failed"):
            await edge.change("local", "replace", "all", work, RELOAD)
        assert await edge.database.run(_table) == before
        assert kamailio.loaded == ["sip:a", "sip:b", "sip:c"]
    last, made = edge.audit.records(2)
    assert (last.action, last.after) == ("replace taken back", {"refused": "Reload Failed"})
    assert made.action == "replace"


async def test_second_reload_refused(edge: Edge, run: Path) -> None:
    """What the first reload brought into Kamailio's memory goes again."""
    with Kamailio(run, edge.database) as kamailio:
        kamailio.refuse_address = True
        with pytest.raises(EdgeRefused):
            await edge.change("local", "add", "x", _add("sip:a"), RELOAD)
        assert kamailio.loaded == []


async def test_taking_back_leaves_others_alone(edge: Edge, run: Path) -> None:
    """Another node of the cluster changed a row between our commit and Kamailio's refusal."""

    class Meanwhile(Kamailio):
        def _reload(self) -> str:
            if len(self.asked) == 1:
                self.database.run_here(lambda c: c.execute(insert(TABLE).values(setid=9, destination="sip:other")))
            return super()._reload()

    with Meanwhile(run, edge.database) as kamailio:
        kamailio.refuse = "sip:bad"
        with pytest.raises(EdgeRefused):
            await edge.change("local", "add", "x", _add("sip:bad"), RELOAD)
        assert kamailio.loaded == ["sip:other"]


async def test_what_work_refuses_is_not_recorded(edge: Edge, run: Path) -> None:
    def work(connection: Connection) -> Changed[None]:
        connection.execute(insert(TABLE).values(setid=1, destination="sip:a"))
        raise NotFound("there is no such set")

    with Kamailio(run, edge.database) as kamailio, pytest.raises(NotFound):
        await edge.change("local", "add", "x", work, RELOAD)
    assert await edge.database.run(_table) == [] and edge.audit.records(10) == [] and kamailio.asked == []


async def test_what_cannot_be_recorded_is_not_done(edge: Edge, tmp_path: Path) -> None:
    edge.audit.path = tmp_path / "absent" / "audit.jsonl"
    with pytest.raises(AuditUnavailable):
        await edge.change("local", "add", "x", _add("sip:a"), RELOAD)
    assert await edge.database.run(_table) == []
    with pytest.raises(AuditUnavailable):
        await edge.tell("local", "bans remove", "192.0.2.1", [("htable.delete", "ipban", "192.0.2.1")])


async def test_one_writer_at_a_time(edge: Edge, run: Path) -> None:
    """Each change is loaded before the next one begins, so Kamailio ends with the last one."""
    with Kamailio(run, edge.database) as kamailio:
        await asyncio.gather(*(edge.change("local", "add", str(n), _add(f"sip:{n}"), RELOAD) for n in range(10)))
        assert kamailio.loaded == [row["destination"] for row in await edge.database.run(_table)]
    assert [record.number for record in edge.audit.records(20)] == list(range(10, 0, -1))


async def test_a_client_that_goes_away_does_not_stop_half_way(edge: Edge, run: Path) -> None:
    with Kamailio(run, edge.database) as kamailio:
        asking = asyncio.ensure_future(edge.change("local", "add", "x", _add("sip:a"), RELOAD))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await edge.change("local", "add", "y", _add("sip:b"), RELOAD)
        assert kamailio.loaded == ["sip:a", "sip:b"]


async def test_tell(edge: Edge, run: Path) -> None:
    answers = {"htable.delete": lambda table, key: [table, key]}
    with FakeRpc(run / "kamailio_rpc.sock", answers):
        command = ("htable.delete", "ipban", "192.0.2.1")
        assert await edge.tell("local", "bans remove", "192.0.2.1", [command]) == [["ipban", "192.0.2.1"]]
    assert edge.audit.records(1)[0].action == "bans remove"
    with pytest.raises(RpcUnavailable):
        await edge.tell("local", "bans remove", "192.0.2.1", [command])
    assert [record.action for record in edge.audit.records(2)] == ["bans remove failed", "bans remove"]


async def test_a_commit_that_fails_is_recorded_as_taken_back(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks between the audit record and the commit."""

    async def run(work: Any) -> Any:
        def breaks(connection: Connection) -> None:
            work(connection)
            raise DatabaseUnavailable("the connection was lost")

        return await Database.run(edge.database, breaks)

    monkeypatch.setattr(edge.database, "run", run)
    with pytest.raises(DatabaseUnavailable):
        await edge.change("local", "add", "x", _add("sip:a"), RELOAD)
    monkeypatch.undo()
    assert await edge.database.run(_table) == []
    assert [record.action for record in edge.audit.records(5)] == ["add taken back", "add"]


async def test_survives_a_restart_of_the_control_process(edge: Edge, tmp_path: Path, run: Path) -> None:
    await edge.change("local", "add", "x", _add("sip:a"))
    other = Edge(edge.rpc, Database(f"sqlite:///{edge.database.url.file}"), Audit(edge.audit.path))
    await other.start()
    assert [row["destination"] for row in await other.database.run(_table)] == ["sip:a"]
    assert other.audit.records(5)[0].target == "x"
    await other.stop()


async def test_a_database_that_is_away_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    rpc = Rpc(tmp_path / "none.sock")
    made = Edge(rpc, Database("postgres://me:hunter2@127.0.0.1:9/k"), Audit(tmp_path / "audit.jsonl"))
    await made.start()
    assert "hunter2" not in made.database_why and "127.0.0.1" in made.database_why
    await made.stop()
