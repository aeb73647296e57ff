"""EdgeService over a real gRPC server, with Kamailio's RPC faked: status, events, audit log."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from appliance.sip_edge.management.edge import Changed, Edge
from srtpgw.v1 import edge_pb2, edge_pb2_grpc
from tests.appliance.sip_edge.fake_rpc import FakeRpc
from tests.appliance.sip_edge.kamailio_answers import ANSWERS


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> edge_pb2_grpc.EdgeServiceStub:
    return edge_pb2_grpc.EdgeServiceStub(channel)


async def test_status(stub: edge_pb2_grpc.EdgeServiceStub, edge: Edge) -> None:
    with FakeRpc(edge.rpc.path, ANSWERS):
        found = await stub.GetStatus(edge_pb2.GetEdgeStatusRequest())
    assert (found.up, found.pid, found.uptime_s, found.version) == (True, 3267, 42, "kamailio 5.6.3 (x86_64/linux)")
    assert dict(found.decisions) == {"malformed": 3, "acl_denied": 12}
    assert (found.transactions.current, found.transactions.total) == (2, 100)
    assert dict(found.transactions.replies) == {"2xx": 90, "3xx": 0, "4xx": 4, "5xx": 3, "6xx": 0}
    assert (found.dialogs.starting, found.dialogs.ongoing) == (1, 7)
    assert (found.shared_memory.used_octets, found.shared_memory.total_octets) == (2729008, 67108864)
    assert (found.websocket.sessions, found.websocket.most_sessions) == (4, 5)
    assert found.database.endswith("/tables/k.sqlite") and not found.database_why


async def test_status_of_a_kamailio_without_some_modules(stub: edge_pb2_grpc.EdgeServiceStub, edge: Edge) -> None:
    with FakeRpc(edge.rpc.path, {"core.version": ANSWERS["core.version"], "core.shmmem": lambda: "nonsense"}):
        found = await stub.GetStatus(edge_pb2.GetEdgeStatusRequest())
    assert found.up and not found.decisions and found.pid == 0 and not found.HasField("websocket")


async def test_status_without_kamailio(stub: edge_pb2_grpc.EdgeServiceStub) -> None:
    found = await stub.GetStatus(edge_pb2.GetEdgeStatusRequest())
    assert not found.up and "not up" in found.why


@pytest.mark.row("K07")
async def test_watch(stub: edge_pb2_grpc.EdgeServiceStub, edge: Edge) -> None:
    """Only the rules that were asked for; details as text."""
    watching = stub.Watch(edge_pb2.WatchEdgeRequest(rules=["acl_denied"]))
    await watching.initial_metadata()  # it has begun
    for rule in ("malformed", "acl_denied"):
        record = {"event": "sip_refused", "reason": rule, "status": 403, "source": "192.0.2.1", "n": 1}
        edge.news.take(json.dumps(record).encode())
    event = await watching.read()
    assert (event.rule, event.status, event.source, dict(event.details)) == ("acl_denied", 403, "192.0.2.1", {"n": "1"})
    watching.cancel()


async def test_audit_in_pages(stub: edge_pb2_grpc.EdgeServiceStub, edge: Edge) -> None:
    for number in range(5):
        await edge.change("local", "add", str(number), lambda c: Changed(None, None, {"password": "hunter2"}))
    page = await stub.ListAudit(edge_pb2.ListAuditRequest(page_size=2))
    assert [record.target for record in page.records] == ["4", "3"]
    assert page.records[0].after == '{"password": "***"}' and page.records[0].before == ""
    page = await stub.ListAudit(edge_pb2.ListAuditRequest(page_size=3, page_token=page.next_page_token))
    assert [record.target for record in page.records] == ["2", "1", "0"] and page.next_page_token == ""


@pytest.mark.parametrize("token", ["x", "-1", "1" * 30, "٣"])
async def test_a_token_that_is_none(stub: edge_pb2_grpc.EdgeServiceStub, token: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListAudit(edge_pb2.ListAuditRequest(page_token=token))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_audit_that_cannot_be_read(stub: edge_pb2_grpc.EdgeServiceStub, edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    edge.audit.path = tmp_path / "folder"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListAudit(edge_pb2.ListAuditRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
