"""Contradictions in [sip_database], and passwords where others can read them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from appliance.config.database_url import DatabaseUrl, parse
from appliance.config.finding import Finding, warning
from appliance.config.schema import Settings

LOOPBACK = ("127.", "[::1]", "localhost")


def database(settings: Settings) -> Iterator[Finding]:
    chosen = settings.sip_database
    written = chosen.url.get_secret_value()
    if chosen.url_file is None:
        if written:
            yield from _judged(parse(written), "url")
        return
    where = ("sip_database", "url_file")
    if written:
        yield Finding(where, "url is given too", "leave one of them out")
    try:
        url = read(chosen.url_file)
    except OSError as error:
        yield Finding(where, f"{chosen.url_file}: {error.strerror or error}")
    except ValueError as error:
        yield Finding(where, f"{chosen.url_file}: {error}")
    else:
        yield from _judged(parse(url), "url_file")


def read(path: Path) -> str:
    """The URL in a file. OSError: not there, or others than owner and group may read it; ValueError: it is none."""
    if path.stat().st_mode & 0o007:
        raise PermissionError(0, f"can be read by everybody: chmod o= {path}")
    lines = path.read_text().splitlines()
    url = lines[0].strip() if lines else ""
    parse(url)
    return url


def _judged(url: DatabaseUrl, key: str) -> Iterator[Finding]:
    engine = url.engine
    if engine.python and importlib.util.find_spec(engine.python) is None:
        yield Finding(
            ("sip_database", key), f"needs Python's {engine.python}, which is not installed",
            f"pip install 'srtpgw[{engine.extra}]'",
        )  # fmt: skip
    if url.file is None and not url.host.startswith(LOOPBACK):
        yield warning(
            ("sip_database", key), f"passwords and HA1 hashes travel to {url.host} as its client library is set up",
            "a network of its own, or TLS: PGSSLMODE=verify-full in the environment of both processes",
        )  # fmt: skip
