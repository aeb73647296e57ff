"""Digest authentication of users (row J06)."""

from __future__ import annotations

from appliance.sip_edge.ksr import say
from appliance.sip_edge.ksr.routing import RoutingTable


def authenticate(table: RoutingTable, realm: str) -> str | None:
    """The user who proved its password; None: challenged or refused already."""
    say.refuse(403, "Forbidden", "digest_off")
    return None
