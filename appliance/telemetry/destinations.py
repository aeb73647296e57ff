"""Metrics of destination sets: as of the last look at Kamailio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.sip_edge.ksr.rules.balance import attributes

if TYPE_CHECKING:
    from appliance.sip_edge.management.destinations import Shown

LABELS = ("set", "destination", "duid")
LATENCIES = {"AVG": "average", "STD": "deviation", "EST": "estimate", "MAX": "most"}  # Kamailio's word: ours


class DestinationCollector(Collector):
    """One row per destination; what is not loaded has none."""

    def __init__(self, seen: Callable[[], Iterable[Shown]]) -> None:
        self._seen = seen

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("srtpgw_sip_destination_up", "1 while it takes calls.", labels=LABELS)
        load = GaugeMetricFamily("srtpgw_sip_destination_calls", "Calls that count for it (call load).", labels=LABELS)
        latency = GaugeMetricFamily(
            "srtpgw_sip_destination_latency_seconds", "Latency of pings.", labels=(*LABELS, "kind")
        )
        lost = CounterMetricFamily("srtpgw_sip_destination_ping_timeouts", "Pings without an answer.", labels=LABELS)
        for one in self._seen():
            if one.live is None:
                continue
            labels = (str(one.row.setid), one.row.destination, attributes(one.row.attrs).get("duid", ""))
            up.add_metric(labels, int(one.live.state in ("active", "trying")))
            load.add_metric(labels, one.live.load)
            for word, kind in LATENCIES.items():
                if word in one.live.latency:
                    latency.add_metric((*labels, kind), one.live.latency[word] / 1000)
            lost.add_metric(labels, one.live.latency.get("TIMEOUT", 0))
        yield from (up, load, latency, lost)
