"""Keys that a low-level session may not have (A05, B5)."""

from __future__ import annotations

import pytest

from appliance.calls.media import ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.session_keys import check_keys
from appliance.calls.views import SessionRequest
from appliance.errors import InvalidRequest
from tests.appliance.rig import Rig


def spec(*numbers: int) -> ContextSpec:
    keys = tuple(MasterKey(bytes([number]) * 16, bytes([number]) * 14, bytes([number])) for number in numbers)
    return ContextSpec("AES_CM_128_HMAC_SHA1_80", keys)


def stream(receive: ContextSpec, send: ContextSpec, *also: ContextSpec, a: ContextSpec | None = None) -> StreamMedia:
    secure = LegMedia("wan", secure=True, receive=receive, send=send, receive_also=also)
    return StreamMedia("audio", LegMedia("lan", secure=a is not None, send=a), secure)


@pytest.mark.parametrize(
    ("streams", "field"),
    [
        ([stream(spec(1), spec(1))], "receive"),  # the peer echoes our key
        ([stream(spec(1), spec(2), spec(2))], "receive"),
        ([stream(spec(1, 3), spec(2, 3))], "receive"),
        ([stream(spec(1), spec(2)), stream(spec(3), spec(2))], "send"),  # equal SSRCs cannot be ruled out
        ([stream(spec(1), spec(2), a=spec(2))], "send"),
    ],
)
async def test_refused(streams: list[StreamMedia], field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_keys(streams)
    assert refusal.value.field == field
    assert "0101" not in str(refusal.value)
    rig = Rig()
    with pytest.raises(InvalidRequest):
        await rig.calls.create_session(SessionRequest(tuple(streams)))
    assert rig.everything_is_free()


@pytest.mark.parametrize(
    "streams",
    [
        [stream(spec(1), spec(2), spec(3))],
        [stream(spec(1), spec(2)), stream(spec(1), spec(3))],  # a peer's keys are the peer's to answer for
        [stream(spec(1), spec(2), a=spec(1))],
        [StreamMedia("audio", LegMedia("lan"), LegMedia("wan"))],
    ],
)
def test_allowed(streams: list[StreamMedia]) -> None:
    check_keys(streams)
