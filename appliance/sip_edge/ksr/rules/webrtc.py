"""Which leg of a call is a WebRTC one, and the NG words that follow (RFC 8827, RFC 8834).

A leg is one end's share of a call; what is asked about it are its trunk and the transport of its SIP.
"""

from __future__ import annotations

from appliance.sip_edge.ksr.rules.websocket import TRANSPORTS

# Profile, ICE, multiplexing and keying as browsers insist on them; mid for BUNDLE (RFC 9143).
OFFERED = (
    "transport-protocol=UDP/TLS/RTP/SAVPF", "ICE=force", "rtcp-mux-accept", "rtcp-mux-offer", "rtcp-mux-require",
    "generate-mid", "no-rtcp-attribute", "SDES-off", "trickle-ICE",
)  # fmt: skip
# Towards everybody else: all of that ends here.
REMOVED = ("ICE=remove", "rtcp-mux-demux", "DTLS=off")

MODES = {
    "always": "mandatory",
    "websocket": "optional",
}  # of what it offers: not every SIP over WebSocket is a browser's


def is_webrtc(setting: str, transport: str) -> bool:
    """`setting`: the trunk's (always, never, websocket: whoever speaks SIP over WebSocket)."""
    return setting == "always" or (setting == "websocket" and transport in TRANSPORTS)
