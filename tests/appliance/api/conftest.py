"""A real grpc.aio server on a Unix socket with a call service in memory behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from appliance.api.server import ApiServer
from appliance.config.schema import Grpc
from tests.appliance.api.fake_calls import FakeCalls


@pytest.fixture
def calls() -> FakeCalls:
    return FakeCalls()


@pytest.fixture
def observed() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def api(calls: FakeCalls, tmp_path: Path, observed: list[tuple[str, str]]) -> AsyncIterator[ApiServer]:
    server = ApiServer(
        calls, Grpc(), tmp_path / "control.sock", lambda method, code, _: observed.append((method, code))
    )
    await server.start()
    yield server
    await server.stop(0)


@pytest.fixture
async def channel(api: ApiServer, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/control.sock") as channel:
        yield channel
