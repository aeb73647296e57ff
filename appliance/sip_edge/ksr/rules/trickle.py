"""Names for candidates in INFO (RFC 8840)."""

FRAGMENT = "application/trickle-ice-sdpfrag"
TO_GATEWAY = "trickle_ice"  # native route block: rtpengine_info
