"""The API on the real call service (a fake media plane below it): what the fakes of the other tests promise is true."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from appliance.api.server import ApiServer
from appliance.config.grpc import Grpc
from appliance.policy.options import MediaOptions
from appliance.protocols.srtp import suites
from srtpgw.v1 import (
    calls_pb2,
    calls_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
)
from tests.appliance.api.faults import refused
from tests.appliance.api.test_session_servicer import SESSION
from tests.appliance.rig import OFFER, Rig


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    rig = Rig()
    path = tmp_path / "control.sock"
    server = ApiServer(rig.calls, Grpc(), path, options=lambda: MediaOptions(sdes_requires_tls=False))
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield SimpleNamespace(
            rig=rig,
            calls=calls_pb2_grpc.CallServiceStub(channel),
            sessions=sessions_pb2_grpc.SessionServiceStub(channel),
            system=system_pb2_grpc.SystemServiceStub(channel),
        )
    await server.stop(0)
    rig.stop()


def _offer(call_id: str = "c1") -> calls_pb2.OfferRequest:
    options = calls_pb2.MediaOptions(transport_protocol="RTP/SAVP", suites=["AES_CM_256_HMAC_SHA1_80"])
    return calls_pb2.OfferRequest(call_id=call_id, from_tag="a", sdp=OFFER.decode(), options=options)


async def test_call_by_sdp(gateway: SimpleNamespace) -> None:
    """RTP on a, SRTP on b, as issue 2 asks for it."""
    reply = await gateway.calls.Offer(_offer())
    found = re.search(r"a=crypto:(\d+) (\S+) inline:(\S+)", reply.sdp)
    assert found is not None and found[2] in suites.find("AES_CM_256_HMAC_SHA1_80").spellings  # type: ignore[union-attr]
    answer = (
        "v=0\r\no=b 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio 50000 RTP/SAVP 0\r\na=crypto:{found[1]} {found[2]} inline:{'A' * 61}g==\r\n"
    )
    back = await gateway.calls.Answer(calls_pb2.AnswerRequest(call_id="c1", from_tag="a", to_tag="b", sdp=answer))
    assert "RTP/AVP" in back.sdp and "crypto" not in back.sdp
    call = await gateway.calls.Get(calls_pb2.GetCallRequest(call_id="c1"))
    leg = call.streams[0].b
    assert (call.state, leg.key_method, leg.secure) == (calls_pb2.Call.ANSWERED, calls_pb2.Leg.SDES, True)
    assert leg.receive.suite == leg.send.suite == "AES_256_CM_HMAC_SHA1_80"
    assert found[3].rstrip("=").encode() not in call.SerializeToString()
    assert (await gateway.system.GetStatus(system_pb2.GetStatusRequest())).calls_answered == 1
    await gateway.calls.Delete(calls_pb2.DeleteCallRequest(call_id="c1"))
    assert gateway.rig.everything_is_free()


async def test_offer_without_tls_is_refused_by_default(tmp_path: Path) -> None:
    """C07: the built-in options are the strict ones; keys go over protected signalling only."""
    rig = Rig()
    server = ApiServer(rig.calls, Grpc(), tmp_path / "strict.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/strict.sock") as channel:
        found = await refused(calls_pb2_grpc.CallServiceStub(channel).Offer(_offer()))
    assert found.code is grpc.StatusCode.FAILED_PRECONDITION
    await server.stop(0)
    rig.stop()


async def test_malformed_sdp_is_an_invalid_argument(gateway: SimpleNamespace) -> None:
    request = _offer()
    request.sdp = "v=0\r\nm=audio nonsense\r\n"
    found = await refused(gateway.calls.Offer(request))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SDP")
    assert gateway.rig.everything_is_free()


@pytest.mark.parametrize("suite", [suite.name for suite in suites.SUITES])
async def test_low_level_session_of_every_suite(gateway: SimpleNamespace, suite: str) -> None:
    """A25 at the face: every suite of the table can be asked for by the caller, weak ones too: it names them."""
    row = suites.find(suite)
    assert row is not None
    tree = copy.deepcopy(SESSION)
    request: sessions_pb2.CreateSessionRequest = ParseDict(tree, sessions_pb2.CreateSessionRequest())
    for octet, crypto in ((b"\x5a", request.streams[0].b.receive), (b"\x5b", request.streams[0].b.send)):
        crypto.suite = suite
        crypto.keys[0].key, crypto.keys[0].salt = octet * row.key_octets, b"\xa5" * row.salt_octets
    call = await gateway.sessions.CreateSession(request)
    assert call.low_level and call.streams[0].b.send.suite == suite
    assert call.streams[0].a.local_rtp.port % 2 == 0
    await gateway.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(call_id=call.call_id))
    assert gateway.rig.everything_is_free()


async def test_watch_and_drain(gateway: SimpleNamespace) -> None:
    watch = gateway.calls.Watch(calls_pb2.WatchRequest())
    kinds = calls_pb2.WatchEvent
    assert (await asyncio.wait_for(watch.read(), 5)).kind == kinds.SYNCED
    await gateway.calls.Offer(_offer())
    assert (await asyncio.wait_for(watch.read(), 5)).kind == kinds.CREATED
    await gateway.system.Drain(system_pb2.DrainRequest())
    assert (await asyncio.wait_for(watch.read(), 5)).kind == kinds.DRAINING
    found = await refused(gateway.calls.Offer(_offer("c2")))
    assert (found.code, found.reason, found.retry_s) == (grpc.StatusCode.UNAVAILABLE, "DRAINING", 1)
    watch.cancel()
