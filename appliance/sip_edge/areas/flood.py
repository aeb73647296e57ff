"""Kamailio's modules pike and htable against floods, and who is not counted."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.config.schema import Settings
from appliance.config.types import IPNetwork
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.flood import BANS, COUNTS, FloodRules


def area(settings: Settings, places: Places) -> Area:
    """Nothing when it is off (M12)."""
    ours = settings.sip_flood
    if not ours.enabled:
        return Area()
    names = ("sampling_time_unit", "reqs_density_per_unit", "remove_latency")
    bans = f"{BANS}=>size=10;autoexpire={ours.ban_s};"
    counts = f"{COUNTS}=>size=12;initval=0;autoexpire={ours.sampling_time_unit};updateexpire=0;"
    return Area(
        modules=("htable", "pike"),
        parameters=(
            *(("pike", name, getattr(ours, name)) for name in names),
            ("pike", "pike_log_level", 3),  # the script alerts, once for each detection
            ("htable", "htable", bans),
            *((("htable", "htable", counts),) if ours.exact else ()),
            ("htable", "timer_interval", min(20, max(1, ours.sampling_time_unit))),
        ),
    )


def rules(settings: Settings) -> FloodRules:
    ours = settings.sip_flood
    known = tuple(dict.fromkeys(str(network) for network in (*ours.known, *_trunks(settings))))
    return FloodRules(ours.enabled, ours.exact, ours.reqs_density_per_unit, ours.ban_s, known)


def _trunks(settings: Settings) -> Iterable[IPNetwork]:
    """Networks of trunks whose address is their proof (P10). One for everybody, or one whose users log in, is not."""
    return [
        network
        for trunk in settings.trunks
        if trunk.authenticate == "address"
        for network in trunk.match
        if network.prefixlen > 0
    ]
