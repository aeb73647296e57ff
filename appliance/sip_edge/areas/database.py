"""Which database module Kamailio loads, and the URL that every module with tables is given (rows J09, N12, O00)."""

from __future__ import annotations

from pathlib import Path

from appliance.config.database_url import parse
from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places

FILE = ("sip", "kamailio.sqlite")  # below paths.state: a directory of its own, shared with Kamailio's group


def url(settings: Settings) -> str:
    """In Kamailio's spelling; it may hold a password. OSError when url_file cannot be read, ValueError."""
    chosen = settings.sip_database
    if chosen.url_file is not None:
        lines = chosen.url_file.read_text().splitlines()
        text = lines[0].strip() if lines else ""
        parse(text)
        return text
    return chosen.url.get_secret_value() or f"sqlite:///{settings.paths.state.absolute().joinpath(*FILE)}"


def usable(settings: Settings, modules: Path) -> bool:
    """Is the module that this URL needs installed?"""
    return (modules / f"{parse(url(settings)).engine.module}.so").exists()


def area(settings: Settings, places: Places) -> Area:
    """Nothing without a database: Kamailio keeps what it has in memory."""
    if not places.database:
        return Area()
    chosen = parse(places.database)
    if chosen.file:
        return Area((chosen.engine.module,), (("db_sqlite", "db_set_journal_mode", f"{chosen.file};WAL"),))
    return Area((chosen.engine.module,))
