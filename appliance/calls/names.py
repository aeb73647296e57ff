"""How long names may be."""

from __future__ import annotations

from appliance.errors import InvalidRequest

LONGEST_NAME = 1024  # characters of a Call-ID, tag or label; longer ones are an attack (G5)


def check_names(call_id: str, *names: str) -> None:
    """InvalidRequest."""
    if not call_id:
        raise InvalidRequest("Call-ID is missing", "call_id")
    if len(call_id) > LONGEST_NAME or any(len(name) > LONGEST_NAME for name in names):
        raise InvalidRequest(f"names are at most {LONGEST_NAME} characters long", "call_id")
