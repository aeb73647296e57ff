"""Kamailio's modules usrloc and registrar, and the table of the block against floods of REGISTER."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.registrar import BLOCKS, LOCATION, SESSIONS, BlockRules, RegistrarRules

WRITE_THROUGH, WRITE_BACK = 1, 2  # of usrloc: a killed Kamailio knows its phones, or those of WRITE_BACK_S ago
WRITE_BACK_S = 2  # for SQLite, which turns a second writer away
RECEIVED = "$avp(received)"  # where a phone is whose Contact names nobody: nathelper writes it, registrar reads it
MAY_REMEMBER = 2  # times of the longest wait, after which an entry is of no use


def area(settings: Settings, places: Places) -> Area:
    """Nothing when it is off."""
    ours, block = settings.sip_registrar, settings.sip_register_block
    if not ours.enabled:
        return Area()
    keep = MAY_REMEMBER * max(block.window_s, block.block_s)
    one_writer = places.database.startswith("sqlite")
    writing = (("usrloc", "db_mode", WRITE_BACK), ("usrloc", "timer_interval", WRITE_BACK_S)) if one_writer else (
        ("usrloc", "db_mode", WRITE_THROUGH),)  # fmt: skip
    database = (("usrloc", "db_url", places.database), *writing) if places.database else ()
    replicated = "dmqreplicate=1;" if settings.sip_replication.enabled else ""
    stored = "dbtable=htable;dbmode=1;" if places.database else ""
    return Area(
        modules=("htable", "usrloc", "registrar"),
        parameters=(
            *database,
            *((("htable", "db_url", places.database),) if places.database else ()),
            ("htable", "htable", f"{BLOCKS}=>size=12;autoexpire={keep};{replicated}{stored}"),
            *(("registrar", name, getattr(ours, name))
              for name in ("max_contacts", "default_expires", "min_expires", "max_expires")),
            *((module, "received_avp", RECEIVED) for module in ("nathelper", "registrar")),
            ("htable", "htable", f"{SESSIONS}=>size=10;autoexpire={ours.max_expires};"),
            ("registrar", "xavp_rcd", "rcd"),  # the id of a binding that was saved
            ("usrloc", "preload", LOCATION),  # a script's save() is too late to ask for it
            ("usrloc", "use_domain", 1),  # alice of one domain is not alice of another one
            ("registrar", "min_expires_mode", 1),  # 423 (RFC 3261 section 10.3)
            ("registrar", "append_branches", 1),
            ("registrar", "method_filtering", 0),
        ),
        tables=("usrloc", "htable") if places.database else (),
    )  # fmt: skip


def rules(settings: Settings) -> RegistrarRules:
    ours, block = settings.sip_registrar, settings.sip_register_block
    return RegistrarRules(
        ours.enabled, tuple(word.lower() for word in ours.domains), ours.trunk,
        BlockRules(block.enabled, block.attempts, block.window_s, block.block_s, block.key, block.most),
    )  # fmt: skip
