"""Which database module Kamailio loads, and the URL that every module with tables is given (rows J09, N12, O00)."""

from __future__ import annotations

from pathlib import Path

from appliance.config.check_database import read
from appliance.config.database_url import parse
from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places

FILE = ("sip", "kamailio.sqlite")  # below paths.state: a directory of its own, shared with Kamailio's group


def url(settings: Settings) -> str:
    """In Kamailio's spelling; it may hold a password. OSError when url_file cannot be read, ValueError."""
    chosen = settings.sip_database
    if chosen.url_file is not None:
        return read(chosen.url_file)
    return chosen.url.get_secret_value() or f"sqlite:///{settings.paths.state.absolute().joinpath(*FILE)}"


def usable(settings: Settings, modules: Path) -> str:
    """The URL, or "" where Kamailio has no SQLite and nothing else was asked for: it keeps what it has in memory then.
    OSError: the database that was asked for needs a module that is not installed."""
    chosen = url(settings)
    engine = parse(chosen).engine
    if (modules / f"{engine.module}.so").exists():
        return chosen
    if settings.sip_database.url_file is None and not settings.sip_database.url.get_secret_value():
        return ""
    raise FileNotFoundError(0, f"Kamailio has no {engine.module} in {modules}: apt-get install {engine.debian}")


def area(settings: Settings, places: Places) -> Area:
    """Nothing without a database: Kamailio keeps what it has in memory."""
    if not places.database:
        return Area()
    chosen = parse(places.database)
    if chosen.file:
        return Area((chosen.engine.module,), (("db_sqlite", "db_set_journal_mode", f"{chosen.file};WAL"),))
    return Area((chosen.engine.module,))
