"""Metrics: every drop by its name, names and units of OpenMetrics, served over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from appliance.config.types import HostPort
from appliance.telemetry.endpoint import LONGEST_HEAD, MetricsEndpoint
from appliance.telemetry.metrics import DROPS, WORKER_COUNTERS, ApiMetrics, registry
from kernels.flow.counters import Counter as WorkerCounter
from tests.appliance.api.fake_calls import FakeCalls

LISTEN = HostPort("127.0.0.1", 24040)


class FullCalls(FakeCalls):
    """A worker that has counted something under every name."""

    def statistics(self):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        found = super().statistics()
        names = [counter.name.removeprefix("COUNTER_").lower() for counter in WorkerCounter][:-1]
        counters = {name: 1000 + place for place, name in enumerate((*names, *DROPS))}
        return replace(found, workers=(replace(found.workers[0], counters=counters),))


def _samples(calls: FakeCalls) -> dict[tuple[str, ...], float]:
    """By name and label values, in the order of the labels' names."""
    text = generate_latest(registry(calls)).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("srtpgw_") and family.documentation
        for sample in family.samples:
            found[(sample.name, *(sample.labels[name] for name in sorted(sample.labels)))] = sample.value
    return found


def test_what_the_call_service_says() -> None:
    found = _samples(FakeCalls())
    assert found["srtpgw_calls",] == 0
    assert found["srtpgw_calls_started_total",] == 3
    assert found["srtpgw_errors_total", "unknown-call"] == 2
    assert found["srtpgw_requests_total", "offer"] == 3
    assert found["srtpgw_call_seconds_total",] == 12.5
    assert found["srtpgw_ports", "default", "free", "0"] == 996
    assert found["srtpgw_worker_up", "run", "0"] == 1


def test_every_drop_by_its_name_also_at_zero() -> None:
    """DESIGN: every drop has a named counter, and the names exist once."""
    found = _samples(FakeCalls())
    assert {key[1] for key in found if key[0] == "srtpgw_dropped_packets_total"} == set(DROPS)
    assert found["srtpgw_dropped_packets_total", "auth_fail", "0"] == 3
    assert found["srtpgw_dropped_packets_total", "replay", "0"] == 0


def test_every_counter_of_a_worker_is_exported() -> None:
    """A counter added to kernels/flow/counters.pxd must get a row here (turns of the loop tell nobody anything)."""
    names = {counter.name.removeprefix("COUNTER_").lower() for counter in WorkerCounter} - {
        "count", "turns", "busy_ns", "work_ns",
    }  # fmt: skip
    assert names == set(WORKER_COUNTERS)
    found = _samples(FullCalls())
    for name in names:
        assert found[f"{WORKER_COUNTERS[name][0]}_total", "0"] >= 1000
    assert all(found["srtpgw_dropped_packets_total", name, "0"] >= 1000 for name in DROPS)


def test_api_requests_are_observed() -> None:
    made = registry(FakeCalls())
    metrics = ApiMetrics(made)
    metrics.observe("/srtpgw.v1.CallService/Get", "NOT_FOUND", 0.002)
    metrics.observe("/srtpgw.v1.CallService/Watch", "OK", 3600.0)
    text = generate_latest(made).decode()
    assert 'srtpgw_grpc_requests_total{code="NOT_FOUND",method="/srtpgw.v1.CallService/Get"} 1.0' in text
    assert 'request_seconds_count{method="/srtpgw.v1.CallService/Watch"}' not in text  # a stream's length is no latency


@pytest.fixture
async def endpoint() -> AsyncIterator[MetricsEndpoint]:
    endpoint = MetricsEndpoint(registry(FakeCalls()), LISTEN)
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


async def _ask(request: bytes) -> tuple[str, str, bytes]:
    """Status, head, body."""
    reader, writer = await asyncio.open_connection(LISTEN.host, LISTEN.port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split(" ")[1], head.decode(), body


async def test_scrape(endpoint: MetricsEndpoint) -> None:
    status, head, body = await _ask(
        b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n"
    )
    assert status == "200" and "application/openmetrics-text" in head
    assert b"srtpgw_dropped_packets_total" in body and body.endswith(b"# EOF\n")
    status, head, body = await _ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == "200" and "text/plain" in head and b"srtpgw_calls 0.0" in body
    status, _, body = await _ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert (status, body) == ("200", b"")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "405"),
        (b"\xff\xfe\r\n\r\n", "405"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (LONGEST_HEAD + 10) + b"\r\n\r\n", "431"),
    ],
)
async def test_what_is_no_scrape(endpoint: MetricsEndpoint, request_: bytes, status: str) -> None:
    assert (await _ask(request_))[0] == status


async def test_silent_client_is_let_go(endpoint: MetricsEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.telemetry.endpoint.HEAD_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection(LISTEN.host, LISTEN.port)
    writer.write(b"GET /met")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert (await _ask(b"GET /metrics HTTP/1.1\r\n\r\n"))[0] == "200"


async def test_a_failing_collector_is_an_answer(endpoint: MetricsEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: FakeCalls) -> None:
        raise RuntimeError("the arena is gone")

    monkeypatch.setattr(FakeCalls, "statistics", broken)
    status, _, body = await _ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert status == "500" and b"arena" not in body
