"""Metrics of the SIP edge (row K07)."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from appliance.sip_edge.management.edge import Edge
from appliance.sip_edge.management.status import read
from appliance.sip_edge.rpc import Rpc
from appliance.sip_edge.tables.database import Database
from appliance.telemetry.audit import Audit
from appliance.telemetry.edge_metrics import EdgeCollector
from tests.appliance.sip_edge.fake_rpc import FakeRpc
from tests.appliance.sip_edge.kamailio_answers import ANSWERS


def _samples(edge: Edge) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(EdgeCollector(edge))
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found[(sample.name, *(sample.labels[name] for name in sorted(sample.labels)))] = sample.value
    return found


async def test_what_kamailio_says(tmp_path: Path) -> None:
    rpc = Rpc(tmp_path / "kamailio_rpc.sock")
    edge = Edge(rpc, Database(f"sqlite:///{tmp_path}/t/k.sqlite"), Audit(tmp_path / "audit.jsonl"))
    found = _samples(edge)
    assert found["srtpgw_sip_up",] == 0 and found["srtpgw_sip_database_up",] == 0
    assert not any(name.startswith("srtpgw_sip_decisions") for name, *_ in found)
    with FakeRpc(rpc.path, ANSWERS):
        await edge.start()
    edge.news.take(b"nonsense")
    found = _samples(edge)
    assert found["srtpgw_sip_up",] == 1 and found["srtpgw_sip_database_up",] == 1
    assert found["srtpgw_sip_decisions_total", "acl_denied"] == 12
    assert found["srtpgw_sip_dialogs", "ongoing"] == 7
    assert found["srtpgw_sip_transactions",] == 2 and found["srtpgw_sip_transactions_started_total",] == 100
    assert found["srtpgw_sip_shared_memory_bytes", "used"] == 2729008
    assert found["srtpgw_sip_replies_total", "5xx"] == 3
    assert found["srtpgw_sip_events_total", "refused"] == 1
    assert found["srtpgw_sip_websocket_sessions",] == 4
    await edge.stop()


async def test_no_sample_of_one_that_went_away(tmp_path: Path) -> None:
    assert not (await read(Rpc(tmp_path / "none.sock"))).up
