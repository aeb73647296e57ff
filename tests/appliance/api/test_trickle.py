"""Trickled ICE candidates by gRPC (rows G21, ICE-6), on the real call service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from appliance.api.server import ApiServer
from appliance.config.grpc import Grpc
from appliance.policy.options import MediaOptions
from srtpgw.v1 import calls_pb2, calls_pb2_grpc
from tests.appliance.api.faults import refused
from tests.appliance.api.test_ng_fragment import LINE, UFRAG, WITH_ICE, Agents, fragment
from tests.appliance.rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    made.calls.trickling.agents = Agents()
    yield made
    made.stop()


@pytest.fixture
async def stub(rig: Rig, tmp_path: Path) -> AsyncIterator[calls_pb2_grpc.CallServiceStub]:
    path = tmp_path / "control.sock"
    server = ApiServer(rig.calls, Grpc(), path, options=lambda: MediaOptions(sdes_requires_tls=False))
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        made = calls_pb2_grpc.CallServiceStub(channel)
        options = calls_pb2.MediaOptions(ice=["remove"])
        await made.Offer(calls_pb2.OfferRequest(call_id="x", from_tag="a", sdp=WITH_ICE, options=options))
        yield made
    await server.stop(0)


def of(tag: str, text: str, call_id: str = "x") -> calls_pb2.TrickleRequest:
    return calls_pb2.TrickleRequest(call_id=call_id, tag=tag, fragment=text)


@pytest.mark.row("G21", "ICE-6")
async def test_candidates_reach_their_leg(rig: Rig, stub: calls_pb2_grpc.CallServiceStub) -> None:
    """The one that the tag names; another generation's, and those of a party that has not answered yet, wait."""
    assert await stub.Trickle(of("a", fragment())) == calls_pb2.TrickleReply()
    assert not (await stub.Trickle(of("a", fragment() + "a=end-of-candidates\r\n"))).waiting
    for tag, ufrag in (("a", "another"), ("b", UFRAG)):
        assert (await stub.Trickle(of(tag, fragment(ufrag)))).waiting
    agents = rig.calls.trickling.agents
    assert isinstance(agents, Agents)
    assert agents.told == [(0, "a", (LINE,), False), (0, "a", (LINE,), True)]


@pytest.mark.row("G21")
@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (of("a", fragment(), "nobody's"), grpc.StatusCode.NOT_FOUND, "UNKNOWN_CALL"),
        (of("a", ""), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (of("", fragment()), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        (of("a", "rubbish"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SDP"),
    ],
)
async def test_what_is_refused(
    stub: calls_pb2_grpc.CallServiceStub, request_: calls_pb2.TrickleRequest, code: grpc.StatusCode, reason: str
) -> None:
    found = await refused(stub.Trickle(request_))
    assert (found.code, found.reason) == (code, reason)
