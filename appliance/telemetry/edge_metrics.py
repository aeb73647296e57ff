"""Metrics of the SIP edge: the last sample of Kamailio's own counters. Row K07."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.sip_edge.management.status import DIALOG_STATES, REPLY_CLASSES, EdgeStatus

MEMORY = {"total": "total", "real_used": "used", "max_used": "most_used"}  # Kamailio's word: ours


class Heard(Protocol):
    received: int
    refused: int


class EdgeSource(Protocol):
    """What the collector needs: `appliance.sip_edge.management.edge.Edge` has it."""

    @property
    def status(self) -> EdgeStatus: ...
    @property
    def news(self) -> Heard: ...
    @property
    def database_why(self) -> str: ...


class EdgeCollector(Collector):
    """Numbers of Kamailio are there while it is up; counters begin again when it starts."""

    def __init__(self, source: EdgeSource) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        now, news = self._source.status, self._source.news
        yield GaugeMetricFamily("srtpgw_sip_up", "1 while Kamailio answers.", value=int(now.up))
        yield GaugeMetricFamily(
            "srtpgw_sip_database_up", "1 while the database of its tables could be used.",
            value=int(not self._source.database_why),
        )  # fmt: skip
        events = CounterMetricFamily("srtpgw_sip_events", "Datagrams of the routing script.", labels=("result",))
        events.add_metric(("taken",), news.received)
        events.add_metric(("refused",), news.refused)
        yield events
        if now.up:
            yield from _kamailio(now)


def _kamailio(now: EdgeStatus) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "srtpgw_sip_decisions", "Requests that a rule of the routing script refused or dropped.", labels=("rule",)
    )
    for rule, number in sorted(now.decisions.items()):
        decisions.add_metric((rule,), number)
    dialogs = GaugeMetricFamily("srtpgw_sip_dialogs", "Dialogs now.", labels=("state",))
    for state in DIALOG_STATES:
        dialogs.add_metric((state,), now.dialogs.get(state, 0))
    memory = GaugeMetricFamily("srtpgw_sip_shared_memory_bytes", "Kamailio's shared memory.", labels=("kind",))
    for word, kind in MEMORY.items():
        memory.add_metric((kind,), now.shared_memory.get(word, 0))
    replies = CounterMetricFamily("srtpgw_sip_replies", "Final replies of transactions.", labels=("class",))
    for name in REPLY_CLASSES:
        replies.add_metric((name,), now.transactions.get(name, 0))
    yield from (decisions, dialogs, memory, replies)
    if now.websocket:
        sessions = GaugeMetricFamily("srtpgw_sip_websocket_sessions", "WebSocket sessions now.")
        sessions.add_metric((), now.websocket.get("current", 0))
        yield sessions
    yield GaugeMetricFamily("srtpgw_sip_transactions", "Transactions now.", value=now.transactions.get("current", 0))
    yield CounterMetricFamily(
        "srtpgw_sip_transactions_started", "Transactions ever.", value=now.transactions.get("total", 0)
    )
    yield GaugeMetricFamily("srtpgw_sip_uptime_seconds", "Since Kamailio started.", value=now.uptime_s)
