"""Kamailio's module nathelper, and what the script has to know of [sip_nat]."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.nat import NatRules


def area(settings: Settings, places: Places) -> Area:
    return Area(modules=("nathelper",))


def rules(settings: Settings) -> NatRules:
    return NatRules(settings.sip_nat.enabled, settings.sip_nat.nat_uac_test)
