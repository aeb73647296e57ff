"""URLs of the SIP edge's database (rows J09, N12, O00): Kamailio's spelling, and no password anywhere."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from appliance.config.database_url import parse
from appliance.config.load import examine
from appliance.config.schema import Settings
from appliance.sip_edge.areas import database
from appliance.sip_edge.areas.area import Places

QUIET = "[sip]\nenabled = false\n"


@pytest.mark.row("J09", "N12", "O00")
@pytest.mark.parametrize(
    ("text", "module", "shown"),
    [
        ("sqlite:////var/lib/x.sqlite", "db_sqlite", "sqlite:////var/lib/x.sqlite"),
        ("postgres://me:word@db.example/kamailio", "db_postgres", "postgres://me:***@db.example/kamailio"),
        ("postgres://me@[2001:db8::1]:5433/k", "db_postgres", "postgres://me@[2001:db8::1]:5433/k"),
        ("mysql://me:w:o:r:d@127.0.0.1:3307/k", "db_mysql", "mysql://me:***@127.0.0.1:3307/k"),
        ("mysql://localhost/k", "db_mysql", "mysql://localhost/k"),
    ],
)
def test_spellings(text: str, module: str, shown: str) -> None:
    url = parse(text)
    assert url.engine.module == module and str(url) == shown and "word" not in repr(url)
    assert str(url.file or "") == ("/var/lib/x.sqlite" if module == "db_sqlite" else "")


@pytest.mark.parametrize(
    "text",
    [
        "", "hunter2", "oracle://me:hunter2@h/k", "sqlite:///relative", "sqlite://x", 'sqlite:////a"hunter2',
        "postgres://me:hun@ter2@h/k", "postgres://me:hunter2@h", "postgres://me:hunter2@h/", "mysql://me:hunter2@h:0/k",
        "mysql://me:hunter2@h:70000/k", 'mysql://me:"hunter2@h/k', "postgres://me:hunter2@h/k?sslmode=off",
        "mysql://me:hunter2\n@h/k", "sqlite:////a;hunter2",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert "hunter2" not in str(caught.value)


def _faults(tmp_path: Path, table: str) -> list[str]:
    path = tmp_path / "x.toml"
    path.write_text(f"{QUIET}[sip_database]\n{table}\n")
    return [str(fault) for fault in examine([path], {}).faults]


def test_settings_show_no_password(tmp_path: Path) -> None:
    settings = Settings(sip_database={"url": "postgres://me:hunter2@127.0.0.1/k"})
    assert "hunter2" not in f"{settings!r} {settings.sip_database} {json.dumps(settings.model_dump(mode='json'))}"
    assert database.url(settings) == "postgres://me:hunter2@127.0.0.1/k"
    faults = _faults(tmp_path, 'url = "postgres://me:hunter2@h@/k"')
    assert len(faults) == 1 and "hunter2" not in faults[0]


def test_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(QUIET)
    loaded = examine([path], {"SRTPGW_SIP_DATABASE__URL": "mysql://me:hunter2@127.0.0.1/k"})
    assert database.url(loaded.usable()) == "mysql://me:hunter2@127.0.0.1/k"


def test_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgres://me:hunter2@127.0.0.1/k\n# a remark\n")
    secret.chmod(0o640)
    assert _faults(tmp_path, f'url_file = "{secret}"') == []
    assert database.url(Settings(sip_database={"url_file": secret})) == "postgres://me:hunter2@127.0.0.1/k"


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    assert any("No such file" in fault for fault in _faults(tmp_path, f'url_file = "{secret}"'))
    secret.write_text("postgres://me:hunter2@127.0.0.1/k")
    secret.chmod(0o644)
    faults = _faults(tmp_path, f'url_file = "{secret}"')
    assert len(faults) == 1 and "chmod o=" in faults[0]
    with pytest.raises(PermissionError):
        database.url(Settings(sip_database={"url_file": secret}))
    secret.write_text("hunter2")
    secret.chmod(0o600)
    faults = _faults(tmp_path, f'url_file = "{secret}"')
    assert len(faults) == 1 and "hunter2" not in faults[0]
    secret.write_text("mysql://127.0.0.1/k")
    assert any("url is given too" in fault for fault in _faults(tmp_path, f'url_file="{secret}"\nurl="mysql://h/k"'))


def test_a_missing_driver_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg" else find(name))
    faults = _faults(tmp_path, 'url = "postgres://me:x@127.0.0.1/k"')
    assert len(faults) == 1 and "error" in faults[0] and "srtpgw[postgres]" in faults[0]


def test_a_password_that_travels_is_a_warning(tmp_path: Path) -> None:
    faults = _faults(tmp_path, 'url = "postgres://me:x@192.0.2.1/k"')
    assert len(faults) == 1 and "warning" in faults[0] and "PGSSLMODE" in faults[0]


def test_default_is_sqlite_in_the_state_directory(tmp_path: Path) -> None:
    settings = Settings(paths={"state": tmp_path})
    assert database.url(settings) == f"sqlite:///{tmp_path}/sip/kamailio.sqlite"


def test_area_loads_the_module_of_the_url(tmp_path: Path) -> None:
    settings = Settings()
    sqlite = database.area(settings, Places(tmp_path, tmp_path, f"sqlite:///{tmp_path}/k.sqlite"))
    assert sqlite.modules == ("db_sqlite",)
    assert sqlite.parameters == (("db_sqlite", "db_set_journal_mode", f"{tmp_path}/k.sqlite;WAL"),)
    assert database.area(settings, Places(tmp_path, tmp_path, "postgres://h/k")).modules == ("db_postgres",)
    assert database.area(settings, Places(tmp_path, tmp_path, "")).modules == ()


def test_a_missing_module(tmp_path: Path) -> None:
    """The default falls back to memory; what was asked for does not."""
    assert database.usable(Settings(), tmp_path) == ""
    with pytest.raises(OSError, match="kamailio-postgres-modules") as caught:
        database.usable(Settings(sip_database={"url": "postgres://me:hunter2@h/k"}), tmp_path)
    assert "hunter2" not in str(caught.value)
