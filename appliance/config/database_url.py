"""Database URLs in Kamailio's spelling, and which module and driver each kind needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SPELLING = "sqlite:///PATH, postgres://USER:PASSWORD@HOST:PORT/NAME or mysql://USER:PASSWORD@HOST:PORT/NAME"
_SERVER = re.compile(
    r"^(?:(?P<user>[^:@/]+)(?::(?P<password>[^@/\"\s]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/(?P<name>[A-Za-z0-9_.-]+)$"
)


@dataclass(frozen=True)
class Engine:
    """One kind of database."""

    module: str  # Kamailio's
    debian: str  # package of the module
    driver: str  # SQLAlchemy's name
    python: str  # the driver's module; "": part of Python
    extra: str  # of our own package, that brings the driver
    schemas: str  # folder of Kamailio's own schema files below share/kamailio


ENGINES: Mapping[str, Engine] = {
    "sqlite": Engine("db_sqlite", "kamailio-sqlite-modules", "sqlite", "", "", "db_sqlite"),
    "postgres": Engine(
        "db_postgres", "kamailio-postgres-modules", "postgresql+psycopg", "psycopg", "postgres", "postgres"
    ),
    "mysql": Engine("db_mysql", "kamailio-mysql-modules", "mysql+pymysql", "pymysql", "mysql", "mysql"),
}


@dataclass(frozen=True)
class DatabaseUrl:
    """A URL, parsed. `str()` and `repr()` show no password."""

    engine: Engine
    name: str  # of the database; of SQLite: the absolute path of its file
    host: str = ""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def file(self) -> Path | None:
        """Of SQLite."""
        return Path(self.name) if self.engine.driver == "sqlite" else None

    def __str__(self) -> str:
        if self.file:
            return f"sqlite:///{self.name}"
        word = ":***" if self.password else ""
        port = f":{self.port}" if self.port else ""
        at = f"{self.user}{word}@" if self.user else ""
        return f"{self.engine.module.removeprefix('db_')}://{at}{self.host}{port}/{self.name}"


def parse(text: str) -> DatabaseUrl:
    """ValueError, without the URL in it: it may hold a password.

    Kamailio decodes no %XX, so neither do we: a password with '@', '/' or '"' cannot be written.
    """
    kind, colon, rest = text.partition("://")
    if not colon or kind not in ENGINES:
        raise ValueError(f"not a database URL: {SPELLING}")
    if kind == "sqlite":
        if not rest.startswith("//") or '"' in rest or ";" in rest:
            raise ValueError("SQLite needs an absolute path: sqlite:////var/lib/srtpgw/sip/kamailio.sqlite")
        return DatabaseUrl(ENGINES[kind], rest[1:])
    found = _SERVER.match(rest)
    if found is None:
        raise ValueError(f"not a database URL: {SPELLING}")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("the port of a database URL is 1..65535")
    return DatabaseUrl(ENGINES[kind], found["name"], found["host"], port, found["user"], found["password"])
