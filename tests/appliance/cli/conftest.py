"""The command line against a gateway: a real API server in a thread, a call service in memory behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from appliance.api.server import ApiServer
from appliance.calls.media import Address, ContextSpec, LegMedia, MasterKey, StreamMedia
from appliance.calls.views import SessionRequest
from appliance.config.grpc import Grpc
from appliance.config.schema import Settings
from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.parts import EdgeParts
from appliance.sip_edge.rpc import Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from tests.appliance.api.fake_calls import FakeCalls


@dataclass
class Gateway:
    """`edge` lives in the thread's loop; its Kamailio is a FakeRpc at `edge.rpc.path`, if a test starts one."""

    socket: Path
    calls: FakeCalls
    edge: Edge
    loop: asyncio.AbstractEventLoop


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    loop = asyncio.new_event_loop()
    (tmp_path / "sip").mkdir()
    edge = Edge(
        Rpc(tmp_path / "sip" / "kamailio_rpc.sock", timeout_s=1.0), Database(f"sqlite:///{tmp_path}/tables/k.sqlite"),
        Audit(tmp_path / "audit.jsonl"),
    )  # fmt: skip
    found = Gateway(tmp_path / "control.sock", FakeCalls(), edge, loop)
    ready, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        await found.calls.create_session(_session("call-1", "first"))
        await found.calls.create_session(_session("call-2", "[bold]not markup[/bold]"))
        await edge.start()
        settings = Settings(paths={"state": tmp_path, "run": tmp_path})  # type: ignore[arg-type]
        server = ApiServer(found.calls, Grpc(), found.socket, edge=EdgeParts(settings, CollectorRegistry(), edge))
        await server.start()
        ready.set()
        await ended.wait()
        await server.stop(0)
        await edge.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield found
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    loop.close()


def _session(call_id: str, label: str) -> SessionRequest:
    key = ContextSpec("AES_CM_128_HMAC_SHA1_80", (MasterKey(b"k" * 16, b"s" * 14),))
    plain = LegMedia("default", Address("192.0.2.1", 4000), Address("192.0.2.1", 4001))
    secure = LegMedia("default", Address("2001:db8::1", 5000), secure=True, receive=key, send=key)
    return SessionRequest((StreamMedia("audio", plain, secure),), call_id, label)
