"""When the certificates of the SIP edge end, for alarms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from appliance.sip_edge.management.certificates import Listed


class CertificateCollector(Collector):
    """Reads the files at scrape time: a handful, and they may have been replaced."""

    def __init__(self, listed: Callable[[], Iterable[Listed]]) -> None:
        self._listed = listed

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        ends = GaugeMetricFamily(
            "srtpgw_certificate_end_time_seconds", "When a certificate of the SIP edge ends, since the epoch.",
            labels=["domain"],
        )  # fmt: skip
        usable = GaugeMetricFamily(
            "srtpgw_certificate_usable", "1 while its files could be used as they are now.", labels=["domain"]
        )
        for one in self._listed():
            usable.add_metric((one.domain,), int(one.certificate is not None))
            if one.certificate is not None:
                ends.add_metric((one.domain,), one.certificate.not_after)
        yield ends
        yield usable
