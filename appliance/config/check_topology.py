"""Contradictions in [sip_topology]."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.config.check_database import read
from appliance.config.database_url import parse
from appliance.config.finding import Finding, warning
from appliance.config.schema import Settings

SHORTEST = 16


def topology(settings: Settings) -> Iterator[Finding]:
    ours = settings.sip_topology
    if ours.mode == "mask":
        yield from _keys(settings)
        return
    if ours.storage == "redis" and not ours.redis_url.get_secret_value():
        yield Finding(("sip_topology", "redis_url"), "is missing: storage is Redis")
    if ours.storage == "db" and _file(settings):
        yield Finding(
            ("sip_topology", "storage"), "mode strip cannot keep dialogs in SQLite: Kamailio's processes write at one "
            "time, and SQLite turns all but one away", "a PostgreSQL or MySQL in sip_database, or storage = \"redis\"",
        )  # fmt: skip
    if ours.branch_expire * 1000 <= settings.sip.ring_timeout_ms:
        yield Finding(
            ("sip_topology", "branch_expire"), "is not above sip.ring_timeout_ms: a late answer would not be routed"
        )
    if ours.dialog_expire and ours.dialog_expire < settings.sip.dialog_timeout_s:
        yield warning(
            ("sip_topology", "dialog_expire"), "is below sip.dialog_timeout_s: longer calls cannot be ended by BYE"
        )
    yield warning(
        ("sip_topology", "mode"), "strip leaves Call-IDs as they are, which may hold an address (Kamailio 5.6)",
        "mode = \"mask\" hides them",
    )  # fmt: skip


def _keys(settings: Settings) -> Iterator[Finding]:
    for name in ("mask_key_file", "previous_key_file"):
        path = getattr(settings.sip_topology, name)
        if path is None:
            continue
        try:
            if path.stat().st_mode & 0o007:
                yield Finding(("sip_topology", name), f"{path} can be read by everybody", f"chmod o= {path}")
            elif len(path.read_text().strip()) < SHORTEST:
                yield Finding(("sip_topology", name), f"{path}: a key has {SHORTEST} characters at least")
        except OSError as error:
            yield Finding(("sip_topology", name), f"{path}: {error.strerror or error}")


def _file(settings: Settings) -> bool:
    """Whether the SIP edge's database is SQLite."""
    chosen = settings.sip_database
    try:
        url = read(chosen.url_file) if chosen.url_file is not None else chosen.url.get_secret_value()
        return not url or parse(url).file is not None
    except (OSError, ValueError):  # that is told of sip_database
        return False
