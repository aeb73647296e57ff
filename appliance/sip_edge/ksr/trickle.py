"""Candidates that come after the SDP, in INFO (RFC 8840; row G21). They are for the gateway, where ICE ends: passed on
they would lead media past it."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import media, say
from appliance.sip_edge.ksr.rules.trickle import FRAGMENT, TO_GATEWAY


def is_fragment() -> bool:
    """The request at hand has such a body. To has_body_type all types are alike that Kamailio does not know."""
    return str(KSR.pv.gete("$cT")).partition(";")[0].strip().lower() == FRAGMENT


def take() -> int:
    """An INFO within a dialog: answered here, whatever the gateway makes of it."""
    KSR.tm.t_newtran()
    media.give_body()
    if KSR.route(TO_GATEWAY) > 0:
        KSR.tm.t_reply(200, "OK")
        return 1
    say.refused("candidates_not_taken", status=488)
    KSR.tm.t_reply(488, "Not Acceptable Here")
    return 1
