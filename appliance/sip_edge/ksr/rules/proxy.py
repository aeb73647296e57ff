"""Which calls are only passed on (row P03)."""

from __future__ import annotations

PROXY = "proxy"  # trunks.mode
PROXIED = "proxied"  # htable: Call-IDs of such calls


def between(caller_mode: str, callee_mode: str) -> bool:
    """Both sides must want it: otherwise one of them would be shown what the other one hides."""
    return caller_mode == callee_mode == PROXY
