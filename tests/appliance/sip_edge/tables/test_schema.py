"""Our tables are Kamailio's: column by column, index by index, `version` row by row (rows N10, O01)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from appliance.sip_edge.tables import schema
from appliance.sip_edge.tables.database import SCHEMAS, Database

FILES = {"version": "standard", "trusted": "permissions", "address": "permissions", "dispatcher": "dispatcher",
         "subscriber": "auth_db", "grp": "group"}  # fmt: skip

pytestmark = pytest.mark.skipif(not (SCHEMAS / "db_sqlite").is_dir(), reason="not installed: kamailio-sqlite-modules")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "theirs.sqlite"
    connection = sqlite3.connect(path)
    for name in dict.fromkeys(FILES.values()):
        connection.executescript((SCHEMAS / "db_sqlite" / f"{name}-create.sql").read_text())
    connection.close()
    return path


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schema") / "ours.sqlite"
    database = Database(f"sqlite:///{path}")
    database.create()
    database.close()
    return path


def _described(path: Path, table: str) -> dict[str, Any]:
    engine = create_engine(f"sqlite:///{path}")
    found = inspect(engine)
    columns = [
        {"name": c["name"], "type": _kind(str(c["type"])), "nullable": c["nullable"],
         "default": None if c["default"] == "NULL" else c["default"]}
        for c in found.get_columns(table)
    ]  # fmt: skip
    described = {
        "columns": columns, "key": found.get_pk_constraint(table)["constrained_columns"],
        "unique": sorted((one["name"], one["column_names"]) for one in found.get_unique_constraints(table)),
        "indexes": sorted((one["name"], one["column_names"], one["unique"]) for one in found.get_indexes(table)),
    }  # fmt: skip
    engine.dispose()
    return described


def _kind(name: str) -> str:
    """SQLite takes any word for a type; what counts is its affinity."""
    return "DATETIME" if name.startswith("TIMESTAMP") or name == "NUMERIC" else name


@pytest.mark.row("N10", "O01")
@pytest.mark.parametrize("table", FILES)
def test_equal(theirs: Path, ours: Path, table: str) -> None:
    assert _described(ours, table) == _described(theirs, table)


@pytest.mark.row("N10", "O01")
def test_versions(theirs: Path) -> None:
    engine = create_engine(f"sqlite:///{theirs}")
    with engine.connect() as connection:
        rows = {row.table_name: row.table_version for row in connection.execute(text("SELECT * FROM version"))}
    engine.dispose()
    assert {name: rows[name] for name in schema.VERSIONS} == schema.VERSIONS


def test_every_table_has_a_version() -> None:
    assert set(schema.METADATA.tables) - schema.OURS == set(schema.VERSIONS) == set(FILES)
