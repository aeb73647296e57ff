"""A real grpc.aio server on a Unix socket with a call service in memory behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from appliance.api.server import ApiServer
from appliance.config.grpc import Grpc
from appliance.config.schema import Settings
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.parts import EdgeParts
from appliance.sip_edge.rpc import Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.appliance.api.fake_calls import FakeCalls


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    """Its Kamailio, if there is one, is a FakeRpc at `tmp_path / "sip" / "kamailio_rpc.sock"`."""
    (tmp_path / "sip").mkdir()
    made = Edge(
        Rpc(tmp_path / "sip" / "kamailio_rpc.sock", timeout_s=1.0), Database(f"sqlite:///{tmp_path}/tables/k.sqlite"),
        Audit(tmp_path / "audit.jsonl"),
    )  # fmt: skip
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def observed() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def api(
    calls: FakeCalls, edge: Edge, tmp_path: Path, observed: list[tuple[str, str]]
) -> AsyncIterator[ApiServer]:
    parts = EdgeParts(Settings(), CollectorRegistry(), edge)
    server = ApiServer(
        calls, Grpc(), tmp_path / "control.sock", lambda method, code, _: observed.append((method, code)), edge=parts
    )
    await server.start()
    yield server
    await server.stop(0)


@pytest.fixture
async def channel(api: ApiServer, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/control.sock") as channel:
        yield channel
