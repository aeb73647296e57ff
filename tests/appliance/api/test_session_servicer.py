"""SessionService: low-level sessions, keys given by the caller."""

from __future__ import annotations

import copy
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from appliance.calls.media import Address, ContextSpec, Latching, MasterKey, RocPolicy
from appliance.calls.views import SessionRequest
from srtpgw.v1 import calls_pb2, sessions_pb2, sessions_pb2_grpc
from tests.appliance.api.fake_calls import FakeCalls
from tests.appliance.api.faults import refused

KEY, SALT = bytes(range(16)), bytes(range(100, 114))
MASTER = {"key": "AAECAwQFBgcICQoLDA0ODw==", "salt": "ZGVmZ2hpamtsbW5vcHE="}
CRYPTO = {"suite": "AES_CM_128_HMAC_SHA1_80", "keys": [MASTER]}
SESSION: dict[str, Any] = {
    "call_id": "s1",
    "streams": [
        {
            "a": {"remote_rtp": {"host": "127.0.0.1", "port": 24000}},
            "b": {"remote_rtp": {"host": "::1", "port": 24002}, "rtcp_mux": True, "receive": CRYPTO, "send": CRYPTO},
        }
    ],
}


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> sessions_pb2_grpc.SessionServiceStub:
    return sessions_pb2_grpc.SessionServiceStub(channel)


def _create(tree: dict[str, Any]) -> sessions_pb2.CreateSessionRequest:
    return ParseDict(tree, sessions_pb2.CreateSessionRequest())


async def test_session_from_create_to_delete(stub: sessions_pb2_grpc.SessionServiceStub, calls: FakeCalls) -> None:
    call = await stub.CreateSession(_create(SESSION))
    stream = call.streams[0]
    assert call.low_level and call.state == calls_pb2.Call.ANSWERED
    assert (stream.a.local_rtp.port % 2, stream.a.local_rtcp.port) == (0, stream.a.local_rtp.port + 1)
    assert stream.b.local_rtcp.port == stream.b.local_rtp.port
    assert (stream.a.key_method, stream.b.key_method) == (calls_pb2.Leg.PLAIN, calls_pb2.Leg.API)
    assert stream.b.send.suite == "AES_CM_128_HMAC_SHA1_80"
    assert dict(stream.a.drops) == {"auth_fail": 3}
    assert (stream.b.send.roc, stream.b.send.highest_sequence, stream.b.send.resyncs) == (2, 77, 1)
    (use,) = stream.b.send.each_key  # A06: packets used and left of each key, never the key
    assert (use.in_use, use.rtp_packets, use.rtcp_packets, use.rtp_left, use.rtcp_left) == (True, 400, 7, 600, 993)
    assert not stream.a.HasField("last_packet_age_s")

    request = calls.requests[0]
    assert isinstance(request, SessionRequest)
    a, b = request.streams[0].a, request.streams[0].b
    assert (a.remote_rtcp, a.secure, a.latching) == (Address("127.0.0.1", 24001), False, Latching.SIGNALLED_HOST)
    assert (b.remote_rtcp, b.secure, b.latching) == (Address("::1", 24002), True, Latching.AUTHENTICATED)
    assert b.receive == ContextSpec("AES_CM_128_HMAC_SHA1_80", (MasterKey(KEY, SALT),))

    again = await refused(stub.CreateSession(_create(SESSION)))
    assert (again.code, again.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CALL_EXISTS")
    update = ParseDict(SESSION, sessions_pb2.UpdateSessionRequest())
    assert (await stub.UpdateSession(update)).call_id == "s1"
    ended = await stub.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id="s1"))
    assert ended.state == calls_pb2.Call.ENDED
    gone = await refused(stub.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id="s1")))
    assert (gone.code, gone.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CALL")


async def test_no_reply_shows_a_key(stub: sessions_pb2_grpc.SessionServiceStub) -> None:
    call = await stub.CreateSession(_create(SESSION))
    for secret in (KEY, SALT):
        assert secret not in call.SerializeToString()


async def test_call_id_is_made_when_none_is_given(stub: sessions_pb2_grpc.SessionServiceStub) -> None:
    tree = {**SESSION, "call_id": ""}
    assert (await stub.CreateSession(_create(tree))).call_id


LEG = "streams.0.b"
MALFORMED: list[tuple[str, Any, str]] = [
    ("streams", [], "streams"),
    ("streams", [SESSION["streams"][0]] * 65, "streams"),
    ("streams.0.a", None, "streams[0].a"),
    ("streams.0.a.remote_rtp", {"host": "", "port": 1}, "streams[0].a.remote_rtp.host"),
    ("streams.0.a.remote_rtp", {"host": "localhost", "port": 1}, "streams[0].a.remote_rtp.host"),
    ("streams.0.a.remote_rtp", {"host": "127.0.0.1", "port": 0}, "streams[0].a.remote_rtp.port"),
    ("streams.0.a.remote_rtp", {"host": "127.0.0.1", "port": 65536}, "streams[0].a.remote_rtp.port"),
    ("streams.0.a.remote_rtp", {"host": "127.0.0.1", "port": 65535}, "streams[0].a.remote_rtp.port"),
    ("streams.0.a.latching", "LATCHING_AUTHENTICATED", "streams[0].a.latching"),
    (f"{LEG}.send", None, "streams[0].b.send"),
    (f"{LEG}.receive", None, "streams[0].b.receive"),
    (f"{LEG}.receive.suite", "", "streams[0].b.receive.suite"),
    (f"{LEG}.receive.suite", "AES_CM_128", "streams[0].b.receive.suite"),
    (f"{LEG}.receive.suite", "AEAD_AES_128_GCM", "streams[0].b.receive.keys[0].salt"),
    (f"{LEG}.receive.suite", "AES_256_CM_HMAC_SHA1_80", "streams[0].b.receive.keys[0].key"),
    (f"{LEG}.receive.keys", [], "streams[0].b.receive.keys"),
    (f"{LEG}.receive.keys", [MASTER, MASTER], "streams[0].b.receive.keys"),
    (f"{LEG}.receive.keys", [{**MASTER, "mki": "AQ=="}, MASTER], "streams[0].b.receive.keys"),
    (f"{LEG}.receive.keys", [{**MASTER, "mki": "AQ=="}] * 2, "streams[0].b.receive.keys"),
    (f"{LEG}.receive.keys", [{**MASTER, "rtp_lifetime": str(2**48 + 1)}], "streams[0].b.receive.keys[0].rtp_lifetime"),
    (f"{LEG}.receive.replay_window", 100, "streams[0].b.receive.replay_window"),
    (f"{LEG}.receive.kdr_log2", 25, "streams[0].b.receive.kdr_log2"),
    (f"{LEG}.receive.ssrc_limit", 17, "streams[0].b.receive.ssrc_limit"),
    (f"{LEG}.receive.rollover", 9, "streams[0].b.receive.rollover"),
    (f"{LEG}.receive.sending_mki", "AQ==", "streams[0].b.receive.sending_mki"),
    (f"{LEG}.receive_also", [CRYPTO] * 3, "streams[0].b.receive_also"),
    (f"{LEG}.receive_also", [{**CRYPTO, "suite": "x"}], "streams[0].b.receive_also[0].suite"),
]


@pytest.mark.parametrize(("path", "value", "field"), MALFORMED)
async def test_malformed_session_names_the_field(
    stub: sessions_pb2_grpc.SessionServiceStub, calls: FakeCalls, path: str, value: Any, field: str
) -> None:
    tree = copy.deepcopy(SESSION)
    *above, last = (int(part) if part.isdigit() else part for part in path.split("."))
    node: Any = tree
    for part in above:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    found = await refused(stub.CreateSession(_create(tree)))
    assert (found.code, found.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert MASTER["key"] not in found.message
    assert calls.requests == []


async def test_one_way_secure_leg_needs_one_key(stub: sessions_pb2_grpc.SessionServiceStub, calls: FakeCalls) -> None:
    tree = copy.deepcopy(SESSION)
    leg = tree["streams"][0]["b"]
    del leg["send"]
    leg["block_send"] = True
    await stub.CreateSession(_create(tree))
    request = calls.requests[0]
    assert isinstance(request, SessionRequest)
    b = request.streams[0].b
    assert (b.secure, b.send, b.may_receive, b.may_send) == (True, None, False, True)


async def test_gcm_without_tag_is_refused(stub: sessions_pb2_grpc.SessionServiceStub) -> None:
    tree = copy.deepcopy(SESSION)
    crypto = {
        "suite": "AEAD_AES_128_GCM",
        "keys": [{**MASTER, "salt": "AAAAAAAAAAAAAAAA"}],
        "unauthenticated_srtp": True,
    }
    tree["streams"][0]["b"].update(receive=crypto)
    found = await refused(stub.CreateSession(_create(tree)))
    assert found.field == "streams[0].b.receive.unauthenticated_srtp"


async def test_what_a_rekey_needs(stub: sessions_pb2_grpc.SessionServiceStub, calls: FakeCalls) -> None:
    """C13, C06, trap 1 of key-management.md: overlap, ROC policy, key in use, AES-192 of old libsrtp."""
    tree = copy.deepcopy(SESSION)
    tree["streams"][0]["b"].update(
        receive_also=[{**CRYPTO, "rollover": "ROLLOVER_KEEP"}],
        send={**CRYPTO, "keys": [{**MASTER, "mki": "AQ=="}, {**MASTER, "mki": "Ag=="}], "sending_mki": "Ag=="},
        receive={**CRYPTO, "legacy_aes_192": True, "rollover": "ROLLOVER_RESET"},
    )
    call = await stub.CreateSession(_create(tree))
    assert [also.suite for also in call.streams[0].b.receive_also] == ["AES_CM_128_HMAC_SHA1_80"]
    request = calls.requests[0]
    assert isinstance(request, SessionRequest)
    b = request.streams[0].b
    assert b.receive is not None and b.send is not None
    assert (b.receive.roc, b.receive.legacy_192, b.send.roc) == (RocPolicy.RESET, True, RocPolicy.AUTO)
    assert (b.receive_also[0].roc, b.send.sending_mki) == (RocPolicy.KEEP, b"\2")
