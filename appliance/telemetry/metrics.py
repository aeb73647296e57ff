"""Metrics read when somebody asks: nothing is counted twice, and no packet ever touches Python for it.

Names are `srtpgw_` with units (OpenMetrics). `Source` is all that is needed of the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.calls.views import Statistics, WorkerView
from kernels.wire.packet import Drop

DROPS: tuple[str, ...] = tuple(
    drop.name.removeprefix("DROP_").lower() for drop in Drop if drop not in (Drop.DROP_NONE, Drop.DROP_COUNT)
)

# Counters of a worker that are not drops: name -> metric (without _total), help.
WORKER_COUNTERS: dict[str, tuple[str, str]] = {
    "received": ("srtpgw_received_packets", "Datagrams taken from sockets."),
    "received_octets": ("srtpgw_received_bytes", "Octets of them."),
    "forwarded": ("srtpgw_forwarded_packets", "Media packets handed to the kernel for sending."),
    "forwarded_octets": ("srtpgw_forwarded_bytes", "Octets of them."),
    "punted": ("srtpgw_punted_packets", "Packets handed to the control process (STUN, DTLS, ZRTP)."),
    "injected": ("srtpgw_injected_packets", "Packets sent for the control process."),
    "inject_failed": ("srtpgw_inject_failures", "Packets of the control process that could not be sent."),
    "learnt": ("srtpgw_learnt_addresses", "Media addresses learnt from packets."),
    "commands": ("srtpgw_worker_commands", "Commands carried out by the worker."),
    "commands_refused": ("srtpgw_worker_commands_refused", "Commands the worker refused."),
    "overflows": ("srtpgw_socket_overflows", "Datagrams lost because a socket's buffer was full."),
    "handed_over": ("srtpgw_handed_over_packets", "Packets that arrived here and went to the worker of their call."),
    "taken_over": ("srtpgw_taken_over_packets", "Packets of those received that other workers handed over."),
    "ring_received": ("srtpgw_ring_received_packets", "Frames taken from AF_XDP rings."),
    "ring_sent": ("srtpgw_ring_sent_packets", "Packets sent through AF_XDP rings."),
    "ring_full": ("srtpgw_ring_full_packets", "Packets dropped because a transmit ring was full."),
    "ring_lost": ("srtpgw_ring_lost_packets", "Frames the kernel dropped because an AF_XDP ring had no room."),
    "transcoded": ("srtpgw_transcoded_packets", "Packets whose G.711 payload was turned into the other law."),
    "copied": ("srtpgw_copied_packets", "Copies handed to the kernel for subscribers; not among the forwarded."),
    "copy_dropped": ("srtpgw_copies_dropped", "Copies for subscribers that went no further; the call's packets did."),
    "ice_answered": ("srtpgw_ice_checks_answered", "ICE connectivity and consent checks answered with success."),
    "ice_refused": ("srtpgw_ice_checks_refused", "ICE checks answered with an error."),
    "cookies": ("srtpgw_dtls_cookies", "First DTLS ClientHellos answered with a cookie."),
    "interrupted": ("srtpgw_interrupted_packets", "Packets in flight when a worker died."),
}


class Source(Protocol):
    """What the collector needs: `appliance.calls.service.CallService` has it."""

    def statistics(self) -> Statistics: ...


class GatewayCollector(Collector):
    """Turns `Statistics` into metric families at scrape time."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is read while the registry is put together

    def collect(self) -> Iterator[Metric]:
        now = self._source.statistics()
        info = InfoMetricFamily("srtpgw_build", "Version, packet port and cipher in use.")
        info.add_metric((), {"version": now.version, "port": now.port_kind, "cipher": now.cipher})
        yield info
        yield from _gateway(now)
        yield from _workers(now.workers)
        yield from _worker_counters(now.workers)


def _gateway(now: Statistics) -> Iterator[Metric]:
    yield _gauge("srtpgw_start_time_seconds", "When this control process started, since the epoch.", now.started)
    yield _gauge("srtpgw_draining", "1 while new calls are refused.", int(now.draining))
    yield _gauge("srtpgw_calls", "Calls now.", now.calls)
    yield _gauge("srtpgw_calls_answered", "Answered calls now.", now.calls_answered)
    yield _gauge("srtpgw_streams_transcoded", "Streams now whose legs have different codecs.", now.streams_transcoded)
    yield _gauge("srtpgw_calls_most", "Calls at one time, at most.", now.calls_most)
    yield _total("srtpgw_calls_started", "Calls ever.", now.calls_total)
    yield _total("srtpgw_calls_adopted", "Calls taken over from an earlier control process.", now.calls_adopted)
    yield _total("srtpgw_calls_moved", "Calls moved to another worker.", now.calls_moved)
    yield _total("srtpgw_calls_failed", "Calls that could not be set up or kept.", now.calls_failed)
    yield _total("srtpgw_call_seconds", "Duration of calls that ended.", now.call_seconds_total)
    yield _total("srtpgw_records_skipped", "Damaged call records found at start.", now.records_skipped)
    yield _labelled(CounterMetricFamily, "srtpgw_requests", "Requests to the call service.", "kind", now.requests)
    yield _labelled(CounterMetricFamily, "srtpgw_errors", "Refused requests by reason.", "reason", now.errors)


def _workers(workers: Iterable[WorkerView]) -> Iterator[Metric]:
    gauges: dict[str, tuple[GaugeMetricFamily, str]] = {
        field: (GaugeMetricFamily(f"srtpgw_{name}", text, labels=("worker",)), field)
        for field, name, text in (
            ("busy", "worker_busy_ratio", "Share of its core that work took lately."),
            ("headroom", "worker_headroom_ratio", "Share of its core left below the limit for new calls."),
            ("packets_per_s", "worker_packets_per_second", "Packets received lately."),
            ("heartbeat_age_s", "worker_heartbeat_age_seconds", "Since the worker was last heard of."),
            ("calls", "worker_calls", "Calls placed on the worker."),
            ("flows_used", "worker_flows", "Flows in use."),
            ("flows", "worker_flows_limit", "Flows there is room for."),
            ("cryptos_used", "worker_cryptos", "Crypto contexts in use."),
            ("cryptos", "worker_cryptos_limit", "Crypto contexts there is room for."),
        )
    }
    up = GaugeMetricFamily("srtpgw_worker_up", "1 while the worker runs.", labels=("worker", "state"))
    restarts = CounterMetricFamily("srtpgw_worker_restarts", "Times the worker was replaced.", labels=("worker",))
    ports = GaugeMetricFamily("srtpgw_ports", "Media ports.", labels=("worker", "interface", "state"))
    for worker in workers:
        label = str(worker.index)
        for family, field in gauges.values():
            family.add_metric((label,), getattr(worker, field))
        up.add_metric((label, worker.state), int(worker.state == "run"))
        restarts.add_metric((label,), worker.restarts)
        for state, by_interface in (("used", worker.ports_used), ("free", worker.ports_free)):
            for interface, number in by_interface.items():
                ports.add_metric((label, interface, state), number)
    yield from (family for family, _ in gauges.values())
    yield from (up, restarts, ports)


def _worker_counters(workers: Iterable[WorkerView]) -> Iterator[Metric]:
    workers = tuple(workers)
    for name, (metric, text) in WORKER_COUNTERS.items():
        family = CounterMetricFamily(metric, text, labels=("worker",))
        for worker in workers:
            family.add_metric((str(worker.index),), worker.counters.get(name, 0))
        yield family
    drops = CounterMetricFamily("srtpgw_dropped_packets", "Packets that went no further.", labels=("worker", "reason"))
    busy = CounterMetricFamily("srtpgw_worker_busy_seconds", "CPU time of the worker.", labels=("worker",))
    work = CounterMetricFamily("srtpgw_worker_work_seconds", "Of it, turns that had packets.", labels=("worker",))
    for worker in workers:
        for reason in DROPS:  # all of them, so that a rate can be taken from the first one on
            drops.add_metric((str(worker.index), reason), worker.counters.get(reason, 0))
        busy.add_metric((str(worker.index),), worker.counters.get("busy_ns", 0) / 1e9)
        work.add_metric((str(worker.index),), worker.counters.get("work_ns", 0) / 1e9)
    yield from (drops, busy, work)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _labelled(kind: type[CounterMetricFamily], name: str, text: str, label: str, values: Iterable[str]) -> Metric:
    family = kind(name, text, labels=(label,))
    for key in values:
        family.add_metric((key,), values[key])  # type: ignore[index]
    return family


class ApiMetrics:
    """Requests of the management API; its `observe` is what `ApiServer` wants."""

    BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "srtpgw_grpc_requests", "gRPC requests.", ("method", "code"), registry=registry
        )  # fmt: skip
        self._seconds = Histogram(
            "srtpgw_grpc_request_seconds", "Duration of gRPC requests that do not stream.", ("method",),
            registry=registry, buckets=self.BUCKETS,
        )  # fmt: skip

    def observe(self, method: str, code: str, seconds: float) -> None:
        self._requests.labels(method, code).inc()
        if not method.endswith(("/Watch", "/ServerReflectionInfo")):
            self._seconds.labels(method).observe(seconds)


def registry(source: Source) -> CollectorRegistry:
    """A registry of our own: the default one belongs to whoever imports us."""
    made = CollectorRegistry()
    made.register(GatewayCollector(source))
    return made
