"""Call records in SQLite, in the RAM-backed run directory: what a new control process adopts calls from.

A change is put into a batch that is written once per turn of the event loop, so that a busy turn costs one
transaction. Records are sealed (`vault`): the file holds no key and no damage passes for a record.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.state.vault import Unsealable, Vault
from appliance.turn import Turn

DAMAGE = (sqlite3.Error, UnicodeError)  # sqlite3 stumbles over its own messages when they quote a damaged schema
# the row stays where it is: a third of the cost of INSERT OR REPLACE, which would delete it and its place in the index
_PUT = """INSERT INTO calls (name, record) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET record = excluded.record"""
LOCKED_S = 0.5  # how long we wait for a file to be ours alone, and
SHARED_S = 5.0  # until somebody else lets us write
JOURNAL_PAGES = 100  # of 4 KiB before they go into the file: what is written over and over stays in the caches
PAGE = 8192  # octets: the record of a call with DTLS has 6,000, and one that overflows a page costs half as much again
SCHEMA = 1  # user_version; another one's file is put aside


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found at start."""

    records: dict[str, bytes]  # opened, by name
    skipped: list[str]  # names of damaged ones, as far as they can be read
    note: str = ""  # why the whole file was put aside, if it was


class CallStore:
    """One table, name -> sealed record. The event loop's thread is the only user."""

    def __init__(
        self,
        path: Path,
        vault: Vault,
        *,
        on_error: Callable[[Exception], None] | None = None,
        turn: Turn | None = None,
    ) -> None:
        """`on_error` hears of writes that fail (disk full, F16); calls go on without, and the batch is tried again."""
        self._path, self._vault = path, vault
        self._on_error = on_error or (lambda error: None)
        self._pending: dict[str, bytes | None] = {}
        self._turn = turn or Turn()
        self.failed_writes = 0
        self._note = ""
        self._db = self._open()

    def put(self, name: str, record: bytes) -> None:
        """Write or replace a record with the next batch; without an event loop (start, tools) the caller flushes."""
        self._pending[name] = record
        self._turn.at_end(self.flush)

    def remove(self, name: str) -> None:
        self._pending[name] = None
        self._turn.at_end(self.flush)

    def flush(self) -> None:
        """Write what is pending, now."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        puts = [
            (key := _octets(name), self._vault.seal(record, key))
            for name, record in pending.items()
            if record is not None
        ]
        gone = [(_octets(name),) for name, record in pending.items() if record is None]
        try:
            with self._db:
                if len(pending) > 1:  # one row is a transaction by itself
                    self._db.execute("BEGIN")
                if gone:
                    self._db.executemany("DELETE FROM calls WHERE name = ?", gone)
                if puts:
                    self._db.executemany(_PUT, puts)
        except DAMAGE as error:
            self.failed_writes += 1
            self._pending = {**pending, **self._pending}
            self._on_error(error)

    def load(self) -> Loaded:
        """All records whose seal holds. Damage is reported, never raised; the good records go on in a fresh
        file (F17)."""
        records: dict[str, bytes] = {}
        skipped: list[str] = []
        why = ""
        try:
            self._read(records, skipped)
            check = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            why = "" if check == "ok" and not skipped else f"{len(skipped)} records damaged ({check})"
        except DAMAGE as error:  # pages beyond here cannot be read
            why = f"damaged: {error}"
        if why:
            self._set_aside(why)
            for name, record in records.items():
                self.put(name, record)
            self.flush()
        return Loaded(records, skipped, self._note)

    def _read(self, records: dict[str, bytes], skipped: list[str]) -> None:
        for key, sealed in self._db.execute("SELECT name, record FROM calls"):
            name = key.decode(errors="surrogateescape") if isinstance(key, bytes) else str(key)
            try:
                records[name] = self._vault.open(sealed if isinstance(sealed, bytes) else b"", _octets(name))
            except Unsealable:
                skipped.append(name)

    def close(self) -> None:
        self.flush()
        self._db.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except DAMAGE as error:
            return self._set_aside(str(error))

    def _connect(self) -> sqlite3.Connection:
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)):
            pass
        self._path.chmod(0o600)
        try:  # locks that are taken once, not by eight system calls in every transaction
            return self._prepare("EXCLUSIVE", LOCKED_S)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise
            return self._prepare("NORMAL", SHARED_S)  # somebody looks into the file: not our concern

    def _prepare(self, locking: str, wait_s: float) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=wait_s)
        try:
            db.execute(f"PRAGMA page_size = {PAGE}")
            db.execute(f"PRAGMA locking_mode = {locking}")
            db.execute("PRAGMA synchronous = OFF")  # the directory is RAM: what survives kill -9 is enough
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {JOURNAL_PAGES}")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError(f"schema {version}, not {SCHEMA}")
            db.execute("CREATE TABLE IF NOT EXISTS calls (name BLOB PRIMARY KEY, record BLOB NOT NULL)")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            db.commit()
        except DAMAGE:
            db.close()
            raise
        return db

    def _set_aside(self, why: str) -> sqlite3.Connection:
        """Keep the unreadable file for the support bundle (one of it), start a fresh one."""
        self._note = why
        with contextlib.suppress(AttributeError, *DAMAGE):
            self._db.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(self._path.name + ".damaged"))
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + suffix).unlink()
        self._db = self._connect()
        return self._db


def _octets(name: str) -> bytes:
    """A Call-ID is octets to us; those that are no UTF-8 came in as surrogates."""
    return name.encode(errors="surrogateescape")
