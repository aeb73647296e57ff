"""What INFO has for the gateway: candidates (row G21), requests for pictures (RFC 5168). KEMI does not have
rtpengine_info, which puts a body to the gateway and expects no SDP back."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules import picture, trickle

WORDS = {trickle.TO_GATEWAY: "fragment", picture.TO_GATEWAY: "media-control"}  # by route block


def area(settings: Settings, places: Places) -> Area:
    # the word, because the body is handed over in a variable (read_sdp_pv), whose type the module does not know
    block = 'route[{}] {{\n\tif (!rtpengine_info("{}")) return -1;\n\treturn 1;\n}}'
    return Area(blocks=tuple(block.format(name, word) for name, word in WORDS.items()))
