"""The server itself: socket, limits, standard services, mutual TLS."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from appliance.api.server import SERVICES, AlreadyRunning, ApiServer
from appliance.config.grpc import Grpc
from srtpgw.v1 import calls_pb2, calls_pb2_grpc, system_pb2, system_pb2_grpc
from tests.appliance.api.fake_calls import FakeCalls
from tests.appliance.api.faults import refused


async def _health(channel: grpc.aio.Channel, service: str = "") -> int:
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(reply.status)


async def test_socket_is_for_its_group_only(api: ApiServer, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "control.sock").stat().st_mode) == 0o660


async def test_health_is_serving_until_drained(channel: grpc.aio.Channel) -> None:
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    for service in ("", *SERVICES):
        assert await _health(channel, service) == serving
    system = system_pb2_grpc.SystemServiceStub(channel)
    assert (await system.Drain(system_pb2.DrainRequest())).draining
    assert await _health(channel) == not_serving
    assert not (await system.Resume(system_pb2.ResumeRequest())).draining
    assert await _health(channel) == serving


async def test_health_of_the_data_plane_is_its_own(api: ApiServer, channel: grpc.aio.Channel) -> None:
    await api.health.set(serving=True, data_plane=False)
    assert await _health(channel, "dataplane") == health_pb2.HealthCheckResponse.NOT_SERVING
    assert await _health(channel) == health_pb2.HealthCheckResponse.SERVING


async def test_health_watch_is_admitted(channel: grpc.aio.Channel) -> None:
    """A handler that writes to the context itself passes the guard as well."""
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await asyncio.wait_for(watch.read(), 5)).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_reflection_lists_every_service(channel: grpc.aio.Channel) -> None:
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
    reply = await stream.read()
    names = {service.name for service in reply.list_services_response.service}
    assert names == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_message_beyond_the_limit_is_refused(channel: grpc.aio.Channel, calls: FakeCalls) -> None:
    request = calls_pb2.OfferRequest(call_id="c", from_tag="f", sdp="x" * 1_100_000)
    found = await refused(calls_pb2_grpc.CallServiceStub(channel).Offer(request))
    assert found.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert calls.requests == []
    assert await _health(channel) == health_pb2.HealthCheckResponse.SERVING


async def test_unknown_method_is_unimplemented(channel: grpc.aio.Channel) -> None:
    found = await refused(channel.unary_unary("/srtpgw.v1.CallService/Nonsense")(b""))
    assert found.code is grpc.StatusCode.UNIMPLEMENTED


async def test_garbage_is_an_invalid_request(channel: grpc.aio.Channel, calls: FakeCalls) -> None:
    """Octets that are no message are refused before any servicer sees them."""
    found = await refused(channel.unary_unary("/srtpgw.v1.CallService/Offer")(b"\xff\xff\xff\x07garbage"))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert calls.requests == []


async def test_a_living_gateway_keeps_its_socket(api: ApiServer, tmp_path: Path) -> None:
    other = ApiServer(FakeCalls(), Grpc(), tmp_path / "control.sock")
    with pytest.raises(AlreadyRunning):
        await other.start()


async def test_a_dead_gateways_socket_is_taken(calls: FakeCalls, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ApiServer(calls, Grpc(), path)
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        assert await _health(channel) == health_pb2.HealthCheckResponse.SERVING
    await server.stop(0)
    assert not path.exists()


async def test_a_file_in_the_way_is_not_removed(calls: FakeCalls, tmp_path: Path) -> None:
    (tmp_path / "control.sock").write_text("precious")
    with pytest.raises(OSError, match="not a socket"):
        await ApiServer(calls, Grpc(), tmp_path / "control.sock").start()
    assert (tmp_path / "control.sock").read_text() == "precious"


async def test_tcp_without_certificates_does_not_start(calls: FakeCalls, tmp_path: Path) -> None:
    """The configuration check refuses it too; the server does not trust that somebody ran it."""
    server = ApiServer(calls, Grpc(listen="127.0.0.1:24010"), tmp_path / "control.sock")
    with pytest.raises(OSError, match="mutual TLS only"):
        await server.start()
    await server.stop(0)
