"""Trunks whose calls are only passed on: topology hiding asks the script before it changes a message."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.proxy import PROXIED, PROXY


def area(settings: Settings, places: Places) -> Area:
    """Nothing without such a trunk."""
    if not any(trunk.mode == PROXY for trunk in settings.trunks):
        return Area()
    longest = settings.sip.dialog_timeout_s
    return Area(parameters=(
        ("topoh", "event_callback", "ksr_topoh_event"),
        ("htable", "htable", f"{PROXIED}=>size=12;autoexpire={longest};"),
    ))  # fmt: skip
