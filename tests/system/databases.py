"""Private database servers for tests: own data directory, own port on loopback, stopped by pid. Rows J09, N12, O00.

with databases.postgres(27010) as url:      # "postgres://kamailio:WORD@127.0.0.1:27010/kamailio"
    Database(url).create()
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.lab import wait_for

NAME = "kamailio"  # of the database and of its user
MARIADB = Path("/usr/sbin/mariadbd")


def postgres_programs() -> Path | None:
    """Folder of the newest PostgreSQL server's programs; None: not installed."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def postgres(port: int) -> Iterator[str]:
    """A PostgreSQL with an empty database on 127.0.0.1:`port`; its URL in Kamailio's spelling. Passwords are asked
    (SCRAM). Skips where it is not installed."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("not installed: postgresql")
    word = secrets.token_hex(8)
    with _place("postgres") as (place, account):
        (place / "word").write_text(word)
        _run(account, programs / "initdb", "-D", place / "data", "-U", NAME, "--auth=scram-sha-256", "--no-sync",
             f"--pwfile={place / 'word'}", "--locale=C", "--encoding=UTF8")  # fmt: skip
        server = [programs / "postgres", "-D", place / "data", "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}",
                  "-c", f"unix_socket_directories={place}", "-c", "fsync=off", "-c", "max_connections=60"]  # fmt: skip
        with _served(server, account, place, port, signal.SIGINT):
            make = [programs / "psql", "-h", "127.0.0.1", "-p", str(port), "-U", NAME, "-d", "postgres", "-qc"]
            _run(account, *make, f"CREATE DATABASE {NAME}", environment={"PGPASSWORD": word})
            yield f"postgres://{NAME}:{word}@127.0.0.1:{port}/{NAME}"


@contextmanager
def mariadb(port: int) -> Iterator[str]:
    """A MariaDB with an empty database; its URL in Kamailio's spelling ("mysql://..."). Skips where not installed."""
    if not MARIADB.exists():
        pytest.skip("not installed: mariadb-server")
    word = secrets.token_hex(8)
    with _place("mysql") as (place, account):
        _run(account, "mariadb-install-db", "--no-defaults", f"--datadir={place / 'data'}", "--skip-test-db",
             f"--tmpdir={place}", "--auth-root-authentication-method=normal")  # fmt: skip
        start = place / "start.sql"
        start.write_text(
            f"CREATE DATABASE {NAME};\nCREATE USER '{NAME}'@'127.0.0.1' IDENTIFIED BY '{word}';\n"
            f"GRANT ALL ON {NAME}.* TO '{NAME}'@'127.0.0.1';\n"
        )
        start.chmod(0o644)
        server = [MARIADB, "--no-defaults", f"--datadir={place / 'data'}", "--bind-address=127.0.0.1", f"--port={port}",
                  f"--socket={place / 'sock'}", f"--init-file={start}", f"--pid-file={place / 'pid'}",
                  f"--tmpdir={place}", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]  # fmt: skip
        with _served(server, account, place, port, signal.SIGTERM):
            yield f"mysql://{NAME}:{word}@127.0.0.1:{port}/{NAME}"


@contextmanager
def _place(account: str) -> Iterator[tuple[Path, str]]:
    """A directory of `account`; database servers refuse to be root. Who is not root stays what he is."""
    place = Path(tempfile.mkdtemp(prefix="gwdb"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(account)
        os.chown(place, owner.pw_uid, owner.pw_gid)
    else:
        account = ""
    try:
        yield place, account
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _served(words: Sequence[object], account: str, place: Path, port: int, stop: signal.Signals) -> Iterator[None]:
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place,
            user=account or None, group=_group(account), extra_groups=[] if account else None,
        )  # fmt: skip
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), 30, (place / "log").read_text)
        if process.poll() is not None:
            raise RuntimeError((place / "log").read_text())
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run(account: str, *words: object, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd="/", check=False, timeout=60,
        user=account or None, group=_group(account), extra_groups=[] if account else None,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", **(environment or {})},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr or done.stdout}")


def _group(account: str) -> int | None:
    return pwd.getpwnam(account).pw_gid if account else None


def _listens(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def redis(port: int) -> Iterator[str]:
    """A Redis with a password on 127.0.0.1:`port`, nothing on disk; its URL. Skips where not installed."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("not installed: redis-server")
    word = secrets.token_hex(8)
    with _place("redis") as (place, account):
        config = place / "redis.conf"
        config.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {word}\nsave ""\nappendonly no\ndir {place}\n')
        config.chmod(0o644)
        with _served([server, config], account, place, port, signal.SIGTERM):
            yield f"redis://:{word}@127.0.0.1:{port}/1"
