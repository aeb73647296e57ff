"""Reading the fields of an NG message that commands need, with rtpengine's words for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from appliance.errors import InvalidRequest
from appliance.protocols.ng.codec import NO_SDP, Message
from appliance.protocols.ng.value import Value

Body: TypeAlias = Mapping[str, Value]


def required(message: Message, key: str, missing: str) -> str:
    """InvalidRequest with the reason `missing`."""
    word = message.word(key)
    if not word:
        raise InvalidRequest(missing, key)
    return word


def sdp_of(message: Message) -> bytes:
    """InvalidRequest."""
    sdp = message.sdp
    if not sdp:
        raise InvalidRequest(NO_SDP, "sdp")
    return sdp


def ok(**more: Value) -> dict[str, Value]:
    return {"result": "ok", **more}
