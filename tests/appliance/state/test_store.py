"""Call records on disk: batches, restarts, damage (F16, F17)."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.state.store import CallStore
from appliance.state.vault import Vault

VAULT = Vault(bytes(32))


def make(path: Path, count: int = 20) -> dict[str, bytes]:
    store = CallStore(path, VAULT)
    records = {f"call{i}": os.urandom(300) for i in range(count)}
    for name, record in records.items():
        store.put(name, record)
    store.close()
    return records


def test_records_survive(tmp_path: Path) -> None:
    records = make(tmp_path / "calls.db")
    records["odd \udcff name"] = b"x"  # a Call-ID that is no UTF-8
    store = CallStore(tmp_path / "calls.db", VAULT)
    store.put("odd \udcff name", b"x")
    store.flush()
    store.remove("call0")
    store.flush()
    del records["call0"]
    assert store.load().records == records
    assert (tmp_path / "calls.db").stat().st_mode & 0o077 == 0


async def test_one_transaction_per_turn(tmp_path: Path) -> None:
    store = CallStore(tmp_path / "calls.db", VAULT)
    flushes = 0
    flush = store.flush

    def counted() -> None:
        nonlocal flushes
        flushes += 1
        flush()

    store.flush = counted  # type: ignore[method-assign]
    for i in range(100):
        store.put(f"c{i % 10}", b"x")
    store.remove("c3")
    await asyncio.sleep(0.01)
    assert flushes == 1 and len(store.load().records) == 9


def test_file_is_opaque(tmp_path: Path) -> None:
    """No key octets on disk, not even in the write-ahead log."""
    store = CallStore(tmp_path / "calls.db", VAULT)
    store.put("c", b"inline:SECRETSECRETSECRET")
    store.flush()
    assert all(b"SECRET" not in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_never_stops_the_start(tmp_path: Path, seed: int) -> None:
    """F17: random octets flipped, or the file cut; every record that opens is as it was; the store works afterwards."""
    path, chance = tmp_path / "calls.db", random.Random(seed)
    records = make(path)
    data = bytearray(path.read_bytes())
    if seed % 4 == 3:
        del data[chance.randrange(len(data)) :]
    else:
        for _ in range(chance.choice((1, 10, 100, 1000))):
            data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
    path.write_bytes(data)
    store = CallStore(path, VAULT)
    loaded = store.load()
    assert all(records.get(name) == record for name, record in loaded.records.items())
    store.put("new", b"fresh")
    store.close()
    again = CallStore(path, VAULT).load()
    assert again.records == {**loaded.records, "new": b"fresh"} and not again.skipped


def test_one_bad_record_costs_one(tmp_path: Path) -> None:
    records = make(tmp_path / "calls.db")
    with sqlite3.connect(tmp_path / "calls.db") as db:
        db.execute("UPDATE calls SET record = zeroblob(50) WHERE name = ?", (b"call7",))
    store = CallStore(tmp_path / "calls.db", VAULT)
    loaded = store.load()
    store.close()
    assert loaded.skipped == ["call7"] and len(loaded.records) == len(records) - 1
    again = CallStore(tmp_path / "calls.db", VAULT).load()
    assert again.records == loaded.records and not again.skipped


def test_another_schema_is_put_aside(tmp_path: Path) -> None:
    make(tmp_path / "calls.db")
    with sqlite3.connect(tmp_path / "calls.db") as db:
        db.execute("PRAGMA user_version = 99")
    loaded = CallStore(tmp_path / "calls.db", VAULT).load()
    assert loaded.records == {} and "99" in loaded.note and (tmp_path / "calls.db.damaged").exists()


def test_failed_writes_are_kept_and_tried_again(tmp_path: Path) -> None:
    """F16: the disk refuses; the calls go on, and the batch is written when it can be."""
    errors: list[Exception] = []
    store = CallStore(tmp_path / "calls.db", VAULT, on_error=errors.append)
    store._db.execute("PRAGMA query_only = ON")
    store.put("c", b"1")
    store.flush()
    assert errors and store.failed_writes == 1
    store._db.execute("PRAGMA query_only = OFF")
    store.flush()
    assert store.load().records == {"c": b"1"}


def test_a_file_that_somebody_reads_is_no_damaged_one(tmp_path: Path) -> None:
    """F17: an operator's sqlite3 has it open while a control process starts. Records are read, and written."""
    records = make(tmp_path / "calls.db")
    reader = sqlite3.connect(tmp_path / "calls.db")
    assert reader.execute("SELECT count(*) FROM calls").fetchone() == (len(records),)
    store = CallStore(tmp_path / "calls.db", VAULT)
    assert (store.load().records, store.load().note) == (records, "")
    store.put("new", b"fresh")
    store.close()
    reader.close()
    assert CallStore(tmp_path / "calls.db", VAULT).load().records == {**records, "new": b"fresh"}


def test_the_next_process_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    """F1: its locks end with it; what it had written is there, replaced records in their last form."""
    script = (
        "import os, pathlib, sys; from appliance.state.store import CallStore; from appliance.state.vault import Vault;"
        "store = CallStore(pathlib.Path(sys.argv[1]), Vault(bytes(32)));"
        "[(store.put('c%d' % (i % 5), b'%d' % i), store.flush()) for i in range(50)];"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "calls.db")], check=False)
    assert CallStore(tmp_path / "calls.db", VAULT).load().records == {f"c{i}": b"%d" % (45 + i) for i in range(5)}
