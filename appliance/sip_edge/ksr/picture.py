"""A phone's request for a whole picture, in INFO (RFC 5168). To a WebRTC leg it is the gateway's to put in RTCP:
browsers take PLI, and know nothing of such bodies. Between phones it passes."""

from __future__ import annotations

import KSR

from appliance.sip_edge.ksr import media, read, say
from appliance.sip_edge.ksr.routing import Trunk, transport_of
from appliance.sip_edge.ksr.rules import picture, webrtc


def is_ours(receiver: Trunk, next_hop: str) -> bool:
    """The INFO at hand, within a dialog."""
    if not webrtc.is_webrtc(receiver.webrtc, transport_of(next_hop)):
        return False
    return picture.asks(str(KSR.pv.gete("$cT")), read.text("$rb"))


def take() -> int:
    """Answered here."""
    KSR.tm.t_newtran()
    media.give_body()
    if KSR.route(picture.TO_GATEWAY) > 0:
        KSR.tm.t_reply(200, "OK")
        return 1
    say.refused("picture_not_asked", status=488)
    KSR.tm.t_reply(488, "Not Acceptable Here")
    return 1
