"""One Kamailio on disk: its run directory, how it is checked, how it is started."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.sip_edge import render
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.ksr import routing
from appliance.sip_edge.tables.database import Database, created

PACKAGE = Path(__file__).resolve().parents[1]
SCRIPT_TREES = ("__init__.py", "sip_edge/__init__.py", "sip_edge/ksr/**/*.py",
                "placement/__init__.py", "placement/algorithms.py")  # below appliance/  # fmt: skip
TABLE = "routing.json"  # in the run directory: ksr/script.py reads it
SCHEMAS = Path("/usr/share/kamailio/db_sqlite")
SCHEMA_FILES = ("standard", "dialog")
EVENTS = Path("events", "control.sock")  # in the run directory: say.py sends there
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHECK_TIMEOUT_S = 20


class ConfigurationRefused(Exception):
    """Kamailio does not take the rendered configuration; the message holds what it said."""


def find(program: str) -> str | None:
    """Absolute path of Kamailio, also outside a user's PATH (/usr/sbin); None when it is not installed."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def prepare(edge: EdgeConfig) -> Path:
    """Write everything that Kamailio reads into its run directory; the path of kamailio.cfg. OSError, ValueError,
    DatabaseUnavailable.

    Its owner and group may enter the directory, and only the owner may read what lies in it: Kamailio's account. The
    control process is in that group: it may ask Kamailio's RPC socket, and be told things in `events`.
    """
    edge.run.mkdir(mode=0o710, parents=True, exist_ok=True)
    edge.run.chmod(0o710)
    make_events_folder(edge.run)
    _copy_script(edge)
    table = edge.run / TABLE
    table.touch(mode=0o600)
    table.write_text(routing.dump(edge.table))
    copy_files(edge.run, {name: path for area in edge.areas for name, path in area.copies.items()}, edge.user)
    for name, text in ((name, text) for area in edge.areas for name, text in area.files.items()):
        target = edge.run / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        target.touch(mode=0o600)
        target.write_text(text)
    if edge.database:
        _create_database(Path(edge.database))
    if edge.tables:
        with contextlib.closing(Database(edge.tables)) as database:
            database.create([name for area in edge.areas for name in area.tables], edge.user)
            statements = [sql for area in edge.areas for sql in area.statements]
            database.run_here(lambda link: [link.exec_driver_sql(sql) for sql in statements])
    cfg = edge.run / "kamailio.cfg"
    cfg.touch(mode=0o600)
    cfg.write_text(render.kamailio_cfg(edge))
    give_to(edge.user, edge.run)
    return cfg


def make_events_folder(run: Path) -> Path:
    """Where control listens for what the script tells; group-writable."""
    folder = run / EVENTS.parent
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o770)
    return folder


def check(edge: EdgeConfig) -> None:
    """Let Kamailio itself read what was rendered. ConfigurationRefused."""
    done = subprocess.run([*command(edge), "-c"], capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise ConfigurationRefused(done.stderr.strip() or done.stdout.strip())


def command(edge: EdgeConfig) -> list[str]:
    """Arguments that run this Kamailio in the foreground, logging to stderr.

    Its Python must be the system's: of a virtual environment on PATH it would take our installed package in place of
    the script in its run directory.
    """
    words = ["/usr/bin/env", "-u", "PYTHONPATH", "-u", "PYTHONHOME", f"PATH={SYSTEM_PATH}"]
    words += [f"{name}={value}" for area in edge.areas for name, value in area.environment.items()]
    words += [find(edge.program) or edge.program, "-f", str(edge.run / "kamailio.cfg"), "-DD", "-E"]
    words += ["-x", edge.memory_manager, "-X", edge.memory_manager]
    words += ["-m", str(edge.shared_memory_mb), "-M", str(edge.private_memory_mb)]
    words += ["-P", str(edge.run / "kamailio.pid"), "-Y", str(edge.run), "-w", str(edge.run)]
    if _drops_privileges(edge.user):
        words += ["-u", edge.user, "-g", edge.user]
    return words


def _copy_script(edge: EdgeConfig) -> None:
    """The script as a tree of its own: readable by Kamailio's user, and not changing under a running Kamailio."""
    for path in (path for pattern in SCRIPT_TREES for path in PACKAGE.glob(pattern)):
        target = edge.run / "python" / "appliance" / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def copy_files(run: Path, copies: Mapping[str, Path], user: str) -> None:
    """Certificates and keys where Kamailio's account may read them, whoever the originals belong to. Each is replaced
    at once. OSError."""
    for name, source in copies.items():
        target = run / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = target.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_bytes(source.read_bytes())
        give_to(user, fresh)
        fresh.replace(target)


def keep_files(run: Path, names: Iterable[str]) -> dict[Path, Path]:
    """A second name for each copy that is there, by its path: for `restore_files`, or for `wipe_files`. OSError."""
    kept = {}
    for path in filter(Path.exists, (run / name for name in names)):
        second = path.with_suffix(".old")
        second.unlink(missing_ok=True)
        second.hardlink_to(path)
        kept[path] = second
    return kept


def restore_files(kept: Mapping[Path, Path]) -> None:
    for path, second in kept.items():
        second.replace(path)


def wipe_files(paths: Iterable[Path]) -> None:
    """Keys are not to outlive their use: overwritten, then removed."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_nlink == 1:  # else it is in use by another name
                with path.open("r+b") as file:
                    file.write(bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
            path.unlink()


def _create_database(path: Path) -> None:
    """Tables that are not there yet, by Kamailio's own schema files."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        there = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in SCHEMA_FILES:
            script = (SCHEMAS / f"{name}-create.sql").read_text()
            if not created(script) & there:
                database.executescript(f"BEGIN;{script}COMMIT;")


def _drops_privileges(user: str) -> bool:
    return user != "" and os.geteuid() == 0


def give_to(user: str, tree: Path) -> None:
    """Kamailio's account becomes the owner of everything below, when root starts it."""
    if not _drops_privileges(user):
        return
    account = pwd.getpwnam(user)
    for path in (tree, *tree.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
