"""One transaction at a time, files for owner and group, and errors that hold no password."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
import stat
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from appliance.errors import AlreadyExists, DatabaseUnavailable, NotFound
from appliance.sip_edge.tables import schema
from appliance.sip_edge.tables.database import Database, rows

ADDRESS = schema.address


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/sip/kamailio.sqlite")
    made.create()
    return made


def _add(connection: Connection) -> None:
    connection.execute(insert(ADDRESS).values(ip_addr="192.0.2.1"))


def _all(connection: Connection) -> list[dict[str, object]]:
    return rows(connection, select(ADDRESS))


async def test_commits(database: Database) -> None:
    await database.run(_add)
    assert await database.run(_all) == [{"id": 1, "grp": 1, "ip_addr": "192.0.2.1", "mask": 32, "port": 0, "tag": None}]


async def test_rolls_back_what_raises(database: Database) -> None:
    def work(connection: Connection) -> None:
        _add(connection)
        raise NotFound("no")

    with pytest.raises(NotFound):
        await database.run(work)
    assert await database.run(_all) == []


async def test_concurrent_writers_wait(database: Database) -> None:
    """Read, then write, in many threads and over a second connection: none fails, none is lost."""

    def work(connection: Connection) -> None:
        number = len(_all(connection))
        connection.execute(insert(ADDRESS).values(ip_addr=f"192.0.2.{number}"))

    other = Database(f"sqlite:///{database.url.file}")
    await asyncio.gather(*(one.run(work) for one in (database, other) * 10))
    found = await database.run(_all)
    assert [row["ip_addr"] for row in found] == [f"192.0.2.{number}" for number in range(20)]


async def test_a_reader_is_not_held_up_by_a_writer(database: Database) -> None:
    """WAL: Kamailio reads what was committed while a change is made."""
    await database.run(_add)

    def work(connection: Connection) -> int:
        _add(connection)
        reader = sqlite3.connect(f"file:{database.url.file}?mode=ro", uri=True, timeout=0)
        seen: int = reader.execute("SELECT count(*) FROM address").fetchone()[0]
        reader.close()
        return seen

    assert await database.run(work) == 1


def test_files_are_for_owner_and_group(tmp_path: Path, database: Database) -> None:
    folder = tmp_path / "sip"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o660, path
    assert {path.name for path in folder.iterdir()} >= {"kamailio.sqlite"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_files_to_kamailio(tmp_path: Path) -> None:
    owner = pwd.getpwnam("nobody")
    made = Database(f"sqlite:///{tmp_path}/sip/kamailio.sqlite")
    made.create(account="nobody")
    for path in (tmp_path / "sip", *(tmp_path / "sip").iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.pw_uid, owner.pw_gid), path
    made.close()


def test_a_directory_that_is_there_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    made = Database(f"sqlite:///{tmp_path}/kamailio.sqlite")
    made.create(account="nobody")
    made.close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750 and tmp_path.stat().st_uid == os.geteuid()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "kamailio.sqlite").symlink_to(tmp_path / "target")
    with pytest.raises(DatabaseUnavailable, match="not a regular file"):
        Database(f"sqlite:///{tmp_path}/kamailio.sqlite").create()


async def test_again_changes_nothing(database: Database) -> None:
    await database.run(_add)
    before = await database.run(lambda connection: rows(connection, select(schema.version)))
    database.create()
    assert await database.run(lambda connection: rows(connection, select(schema.version))) == before
    assert len(await database.run(_all)) == 1


async def test_tables_of_kamailios_own_files(database: Database) -> None:
    """An area may ask for tables that we do not manage, by the name of Kamailio's schema file."""
    database.create(["topos"])
    database.create(["topos"])
    found = await database.run(lambda connection: rows(connection, select(schema.version)))
    assert {"topos_d", "topos_t"} <= {row["table_name"] for row in found}
    with pytest.raises(DatabaseUnavailable, match="nothing-create"):
        database.create(["nothing"])


def test_tables_of_an_older_kamailio_keep_their_version(tmp_path: Path) -> None:
    """We do not say that a table is what it is not: Kamailio compares and refuses to start."""
    path = tmp_path / "old.sqlite"
    link = sqlite3.connect(path)
    link.execute("CREATE TABLE version (id INTEGER PRIMARY KEY, table_name VARCHAR(32), table_version INTEGER)")
    link.execute("CREATE TABLE dispatcher (id INTEGER PRIMARY KEY)")
    link.execute("INSERT INTO version (table_name, table_version) VALUES ('dispatcher', 3)")
    link.commit()
    link.close()
    made = Database(f"sqlite:///{path}")
    made.create()
    found = made.run_here(lambda connection: rows(connection, select(schema.version)))
    made.close()
    assert [row["table_version"] for row in found if row["table_name"] == "dispatcher"] == [3]


async def test_what_is_there_already(database: Database) -> None:
    def work(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert(schema.subscriber).values(username="a", domain="b", ha1="f00d"))

    with pytest.raises(AlreadyExists) as caught:
        await database.run(work)
    assert "f00d" not in str(caught.value)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
async def test_errors_hold_no_password(kind: str) -> None:
    """Port 9 of loopback: nobody listens there."""
    database = Database(f"{kind}://me:hunter2@127.0.0.1:9/kamailio")
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.run(lambda connection: None)
    seen = f"{caught.value!r} {caught.value} {database.url!r} {database.url} {caught.value.__cause__}"
    assert "hunter2" not in seen and f"{kind}://me:***@127.0.0.1:9/kamailio" in str(caught.value)


async def test_a_missing_driver_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(DatabaseUnavailable, match=r"srtpgw\[mysql\]"):
        await Database("mysql://me:x@127.0.0.1/kamailio").run(lambda connection: None)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "kamailio.sqlite"
    path.write_text("not a database, though it has some length to it" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        Database(f"sqlite:///{path}").create()
