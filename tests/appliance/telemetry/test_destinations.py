"""O18, O28: metrics of each destination."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from appliance.sip_edge.management.destinations import Live, Shown
from appliance.sip_edge.tables.dispatcher_rows import Row
from appliance.telemetry.destinations import DestinationCollector


def test_each_destination_has_its_numbers() -> None:
    """O18: the duid is a label; O28: latencies in seconds; one that is not loaded is not there."""
    latency = {"AVG": 20.0, "STD": 1.0, "EST": 45.0, "MAX": 132.0, "TIMEOUT": 3.0}
    seen = (
        Shown(Row(1, "sip:a", attrs="duid=gw1"), Live("trying", True, latency, 7)),
        Shown(Row(1, "sip:b"), Live("disabled", False, {}, 0)),
        Shown(Row(1, "sip:c"), None),
    )
    registry = CollectorRegistry()
    registry.register(DestinationCollector(lambda: seen))
    first = {"set": "1", "destination": "sip:a", "duid": "gw1"}
    second = {"set": "1", "destination": "sip:b", "duid": ""}
    name = "srtpgw_sip_destination"
    assert registry.get_sample_value(f"{name}_up", first) == 1
    assert registry.get_sample_value(f"{name}_up", second) == 0
    assert registry.get_sample_value(f"{name}_calls", first) == 7
    assert registry.get_sample_value(f"{name}_latency_seconds", first | {"kind": "estimate"}) == 0.045
    assert registry.get_sample_value(f"{name}_ping_timeouts_total", first) == 3
    assert registry.get_sample_value(f"{name}_latency_seconds", second | {"kind": "estimate"}) is None
    assert registry.get_sample_value(f"{name}_up", {"set": "1", "destination": "sip:c", "duid": ""}) is None
