"""Kamailio's dispatcher module: where its sets are, how it watches them; and what the script has to know of them."""

from __future__ import annotations

from pathlib import Path

from appliance.config.schema import Settings
from appliance.config.sip_dispatcher import DestinationSet as SetSettings
from appliance.config.sip_dispatcher import SipDispatcher
from appliance.sip_edge.areas.area import Area, Places, Value
from appliance.sip_edge.ksr.rules.balance import COUNTERS, PROFILE, BalanceRules, DestinationSet
from appliance.sip_edge.tables import dispatcher_files, dispatcher_rows

LIST_FILE = "dispatcher.list"
FAILOVER, USER_ONLY = 2, 1  # bits of the setting `flags`
SAME_NAME = ("table_name", "setid_col", "destination_col", "flags_col", "priority_col", "attrs_col")
WATCHING = (
    "ds_ping_interval", "ds_ping_method", "ds_ping_from", "ds_ping_reply_codes", "ds_probing_threshold",
    "ds_inactive_threshold", "ds_probing_mode", "ds_ping_latency_stats", "ds_latency_estimator_alpha",
)  # fmt: skip


def dispatcher(settings: Settings, places: Places) -> Area:
    """Nothing without sets to read: no database and no file."""
    ours = settings.sip_dispatcher
    if not _wanted(settings, places):
        return Area()
    if ours.list_file is not None:  # its text, in the run directory: Kamailio's account need not read the original
        source: tuple[tuple[str, str, Value], ...] = (("dispatcher", "list_file", str(places.run / LIST_FILE)),)
        files = {LIST_FILE: _text(ours.list_file)}
    else:
        names = tuple(("dispatcher", name, getattr(ours, name)) for name in SAME_NAME)
        source, files = (("dispatcher", "db_url", places.database), *names), {}
    return Area(
        modules=("dispatcher",),
        parameters=(*source, *_watching(settings)),
        files=files,
        tables=("dispatcher",) if ours.list_file is None else (),
    )


def rules(settings: Settings) -> BalanceRules:
    """What the script has to know of [sip_dispatcher] and [[destination_sets]]."""
    ours = settings.sip_dispatcher
    other = SetSettings(id=0, algorithm=ours.algorithm)
    return BalanceRules(
        enabled=ours.enabled, sets=tuple(_set(one, ours) for one in settings.destination_sets),
        other=_set(other, ours), user_only=bool(ours.flags & USER_ONLY), use_default=ours.use_default,
        force_dst=ours.force_dst, load_expire_s=ours.ds_hash_expire, refresh_ms=ours.refresh_ms,
        ping_method=ours.ds_ping_method, ping_timeout_ms=ours.ds_ping_fr_timeout,
    )  # fmt: skip


def _text(path: Path) -> str:
    """dispatcher.list as Kamailio is to read it. OSError, NotUnderstood (ValueError)."""
    return dispatcher_files.listing([dispatcher_rows.told(row) for row in dispatcher_files.read(path.read_text()).rows])


def _set(one: SetSettings, ours: SipDispatcher) -> DestinationSet:
    return DestinationSet(
        one.id, one.name, one.algorithm, one.hash or ours.hash_pvar, one.failover if ours.flags & FAILOVER else (),
        one.mark, one.mark_on, one.answer_timeout_ms, one.limit, one.congestion_control,
    )  # fmt: skip


def _wanted(settings: Settings, places: Places) -> bool:
    return settings.sip_dispatcher.enabled and bool(places.database or settings.sip_dispatcher.list_file)


def _watching(settings: Settings) -> tuple[tuple[str, str, Value], ...]:
    ours = settings.sip_dispatcher
    said = [("dispatcher", name, value) for name in WATCHING if (value := getattr(ours, name)) != ""]
    parameters: list[tuple[str, str, Value]] = [(module, name, _literal(value)) for module, name, value in said]
    if ours.ds_default_socket is not None:
        parameters.append(("dispatcher", "ds_default_socket", str(ours.ds_default_socket)))
    if ours.outbound_proxy:
        parameters.append(("dispatcher", "outbound_proxy", ours.outbound_proxy))
    return (
        *parameters,
        ("dispatcher", "flags", ours.flags | FAILOVER),  # ds_mark_dst works with it only; failing over is the script's
        ("dispatcher", "reload_delta", 0),  # there is one writer, and it waits for each answer
        ("dispatcher", "event_callback", "ksr_dispatcher_event"),
        ("dialog", "profiles_with_value", PROFILE),
        ("htable", "htable", f"{COUNTERS}=>size=8;initval=0;"),
    )


def _literal(value: object) -> Value:
    return int(value) if isinstance(value, bool | int) else str(value)
