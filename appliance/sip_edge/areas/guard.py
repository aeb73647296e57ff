"""Kamailio's module sanity, and the limits that the script holds."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.guard import GuardRules


def area(settings: Settings, places: Places) -> Area:
    ours = settings.sip_sanity
    return Area(
        modules=("sanity",),
        parameters=(("sanity", "default_checks", ours.default_checks), ("sanity", "uri_checks", ours.uri_checks)),
    )


def rules(settings: Settings) -> GuardRules:
    ours = settings.sip_sanity
    return GuardRules(
        ours.default_checks, ours.uri_checks, ours.reply_checks, ours.reply_uri_checks,
        ours.message_size, ours.headers_size, ours.body_size, ours.header_size, ours.method_size, ours.uri_size,
        tuple(word.lower() for word in ours.scanners), settings.sip_websocket.body_size,
    )  # fmt: skip
