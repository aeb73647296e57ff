"""Metrics of bans: how many hold, and what they kept out. Row M13."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class BanSource(Protocol):
    """What the collector needs: `appliance.sip_edge.management.bans.Bans` has it."""

    refused: int
    lost: int

    @property
    def totals(self) -> Mapping[str, int]: ...
    @property
    def given_way(self) -> int: ...
    def __len__(self) -> int: ...


class BanCollector(Collector):
    """What Kamailio itself drops of banned sources is srtpgw_sip_decisions of the rule flood_banned."""

    def __init__(self, source: BanSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        bans = self._source
        yield GaugeMetricFamily("srtpgw_sip_bans", "Bans that hold.", value=len(bans))
        dropped = CounterMetricFamily(
            "srtpgw_sip_ban_dropped_packets", "Packets of banned sources that the kernel dropped.", labels=("means",)
        )
        for means, count in sorted(bans.totals.items()):
            dropped.add_metric((means,), count)
        yield dropped
        untaken = CounterMetricFamily("srtpgw_sip_bans_untaken", "Bans that do not hold, by why.", labels=("why",))
        for why, count in (("no_room", bans.given_way), ("protected", bans.refused), ("too_fast", bans.lost)):
            untaken.add_metric((why,), count)
        yield untaken
