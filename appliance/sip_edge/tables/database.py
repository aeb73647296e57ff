"""The SIP edge's database: one transaction at a time, off the event loop, on whatever the URL names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Select, create_engine, event, insert, inspect
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from appliance.config.database_url import DatabaseUrl, parse
from appliance.errors import AlreadyExists, DatabaseUnavailable, InvalidRequest
from appliance.sip_edge.tables import schema

T = TypeVar("T")

PATIENCE: Mapping[str, Mapping[str, Any]] = {  # a server that hangs holds up one change, not every thread for ever
    "db_sqlite": {"timeout": 5.0},  # how long a writer waits for another one
    "db_postgres": {
        "connect_timeout": 5, "tcp_user_timeout": 10_000, "options": "-c statement_timeout=30000 -c lock_timeout=5000",
    },
    "db_mysql": {"connect_timeout": 5, "read_timeout": 30, "write_timeout": 30},
}  # fmt: skip
SCHEMAS = Path("/usr/share/kamailio")
LOCK = 0x73727470  # number of the servers' advisory lock

FOLDER_MODE = 0o2770  # of the directory that is made for the file of SQLite


class Database:
    """Tables by URL. Nothing is opened before the first `run`; `close` at the end."""

    def __init__(self, url: str) -> None:
        """`url` in Kamailio's spelling. ValueError; DatabaseUnavailable when its driver is not installed."""
        self.url: DatabaseUrl = parse(url)
        self._engine: Engine | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """One transaction in a thread: committed when `work` returns, rolled back when it raises. What `work` raises
        goes through; DatabaseUnavailable for what the database says."""
        return await asyncio.to_thread(self.run_here, work)

    def run_here(self, work: Callable[[Connection], T]) -> T:
        """The same in this thread."""
        with _spoken(self.url), self.engine().begin() as connection:
            return work(connection)

    def create(self, schemas: Iterable[str] = (), account: str = "") -> None:
        """Tables that are not there yet, with their rows in `version`: ours (`schema`), and those of Kamailio's schema
        files of these names ("topos"). DatabaseUnavailable.

        The file of SQLite is for its owner and group: Kamailio and the control process are different accounts, and the
        directory hands its group down (setgid). Root gives both to `account`.
        """
        if self.url.file:
            make_file(self.url.file, account)
        self.run_here(lambda connection: _create(connection, self._scripts(schemas)))
        if self.url.file:
            give(self.url.file, account)

    def check(self) -> None:
        """Does it answer? DatabaseUnavailable."""
        if self.url.file is None:
            self.run_here(lambda connection: connection.exec_driver_sql("SELECT 1"))
        elif not self.url.file.exists():  # no transaction: SQLite's would hold up Kamailio's writes
            raise DatabaseUnavailable(f"{self.url}: the file is gone")

    def _scripts(self, names: Iterable[str]) -> list[str]:
        try:
            return [(SCHEMAS / self.url.engine.schemas / f"{name}-create.sql").read_text() for name in names]
        except OSError as error:
            raise DatabaseUnavailable(f"{self.url}: {error.filename}: {error.strerror}") from None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = _engine(self.url)
        return self._engine


def rows(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    """All rows of a query by column name."""
    return [dict(row) for row in connection.execute(statement).mappings()]


def make_folder(path: Path, account: str = "") -> None:
    """The directory of what Kamailio's account and its group share. OSError."""
    if not path.is_dir():
        path.mkdir(mode=0o770, parents=True, exist_ok=True)
        _chown(path, account)
        with contextlib.suppress(PermissionError):  # systemd's RestrictSUIDSGID; its unit has made it then
            path.chmod(FOLDER_MODE)


def make_file(path: Path, account: str = "") -> None:
    """An SQLite file and its directory, for owner and group only. DatabaseUnavailable."""
    try:
        make_folder(path.parent, account)
        with contextlib.suppress(FileExistsError):
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            os.fchmod(file, 0o660)  # whatever the umask is; SQLite gives its -wal and -shm the same mode
            os.close(file)
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DatabaseUnavailable(f"{path} is not a regular file")
    except OSError as error:
        raise DatabaseUnavailable(f"{path}: {error.strerror}") from None


def give(path: Path, account: str) -> None:
    """An SQLite file, what is beside it, and the directory made for them, when root made all for `account`."""
    if stat.S_IMODE(path.parent.stat().st_mode) == FOLDER_MODE:  # of ours: another account may have been meant before
        _chown(path.parent, account)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with contextlib.suppress(FileNotFoundError):
            _chown(path.with_name(name), account)


def _chown(path: Path, account: str) -> None:
    if account and os.geteuid() == 0:
        owner = pwd.getpwnam(account)
        os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _create(connection: Connection, scripts: Iterable[str]) -> None:
    with _alone(connection):
        _create_missing(connection, scripts)


def _create_missing(connection: Connection, scripts: Iterable[str]) -> None:
    there = set(inspect(connection).get_table_names())
    schema.METADATA.create_all(connection, checkfirst=True)
    for name, number in schema.VERSIONS.items():
        if name not in there:
            connection.execute(insert(schema.version).values(table_name=name, table_version=number))
    for script in scripts:
        if not created(script) <= set(inspect(connection).get_table_names()):
            for statement in script.split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)


@contextlib.contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Gateways that start together make the tables once. SQLite's transactions are exclusive anyhow."""
    kind = connection.dialect.name
    if kind == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    elif kind == "mysql":
        connection.exec_driver_sql(f"SELECT GET_LOCK('srtpgw-{LOCK}', 10)")
    try:
        yield
    finally:
        if kind == "mysql":
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK('srtpgw-{LOCK}')")


def created(script: str) -> set[str]:
    """Names of the tables that a schema file makes."""
    return set(re.findall(r"CREATE TABLE `?(\w+)", script))


def _engine(url: DatabaseUrl) -> Engine:
    options: dict[str, Any] = {"connect_args": PATIENCE[url.engine.module]}
    if not url.file:
        options.update(pool_pre_ping=True, pool_size=2, max_overflow=2, pool_recycle=1800)
    try:
        engine = create_engine(_url(url), hide_parameters=True, **options)
    except ImportError:
        hint = f"pip install 'srtpgw[{url.engine.extra}]'"
        raise DatabaseUnavailable(f"{url}: needs Python's {url.engine.python}: {hint}") from None
    if url.file:
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begins)
    return engine


def _url(url: DatabaseUrl) -> URL:
    host = url.host.strip("[]") or None
    return URL.create(url.engine.driver, url.user, url.password, host, url.port, url.name)


def _sqlite_connected(connection: Any, record: Any) -> None:
    """WAL: readers (Kamailio) and a writer (us) do not wait for each other. Transactions are ours to begin."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # a change that was acknowledged survives a power cut


def _sqlite_begins(connection: Connection) -> None:
    """The lock first: a transaction that reads, then writes, could not get it any more."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextlib.contextmanager
def _spoken(url: DatabaseUrl) -> Iterator[None]:
    """Errors of the driver as ours: which database, what it said; no statement, no values, no password."""
    try:
        yield
    except IntegrityError as error:
        raise AlreadyExists(f"the database has such a row already ({_first_line(error.orig)})") from None
    except DataError as error:
        raise InvalidRequest(f"the database does not take this value ({_first_line(error.orig)})") from None
    except DBAPIError as error:
        raise DatabaseUnavailable(f"{url}: {_first_line(error.orig)}") from None
    except SQLAlchemyError as error:
        raise DatabaseUnavailable(f"{url}: {type(error).__name__}") from None


def _first_line(error: BaseException | None) -> str:
    words = str(error).strip().splitlines()
    return words[0] if words else type(error).__name__
