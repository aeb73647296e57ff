"""Candidates in INFO (row G21): KEMI does not have rtpengine_info, which puts a fragment to the gateway and expects no
SDP back."""

from __future__ import annotations

from appliance.config.schema import Settings
from appliance.sip_edge.areas.area import Area, Places
from appliance.sip_edge.ksr.rules.trickle import TO_GATEWAY


def area(settings: Settings, places: Places) -> Area:
    # the word, because the body is handed over in a variable (read_sdp_pv), whose type the module does not know
    return Area(blocks=(f'route[{TO_GATEWAY}] {{\n\tif (!rtpengine_info("fragment")) return -1;\n\treturn 1;\n}}',))
