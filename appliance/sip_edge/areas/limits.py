"""Kamailio's module pipelimit, and what is shed first under overload."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.limits import LimitRules, Pipe

UNUSED_TURNS = 60  # a pipe that nobody went through for so many turns of the timer is forgotten: forged sources


def area(settings: Settings, places: Places) -> Area:
    """Nothing without limits."""
    if not settings.sip_limits:
        return Area()
    load = any(one.algorithm in ("FEEDBACK", "NETWORK") for one in settings.sip_limits)
    names = (("timer_interval", 1), ("clean_unused", UNUSED_TURNS), ("load_fetch", int(load)))
    return Area(modules=("pipelimit",), parameters=tuple(("pipelimit", name, value) for name, value in names))


def rules(settings: Settings) -> LimitRules:
    ours = settings.sip_overload
    return LimitRules(
        tuple(
            Pipe(one.name, one.per, tuple(map(str.upper, one.methods)), one.algorithm, one.limit, one.retry_after_s)
            for one in settings.sip_limits
        ),
        ours.enabled, ours.shed_strangers_at, ours.shed_all_at, ours.retry_after_s,
    )  # fmt: skip
