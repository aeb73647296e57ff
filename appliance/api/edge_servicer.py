"""EdgeService: the SIP edge as a whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from appliance.errors import InvalidRequest
from appliance.sip_edge.management import status
from srtpgw.v1 import edge_pb2

if TYPE_CHECKING:
    from appliance.sip_edge.management.edge import Edge
    from appliance.sip_edge.management.news import EdgeEvent
    from appliance.telemetry.audit import Record

PAGE, LONGEST_PAGE = 100, 1000


class EdgeServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def GetStatus(self, request: edge_pb2.GetEdgeStatusRequest, context: Any) -> edge_pb2.EdgeStatus:
        edge = self._edge
        return _status(await status.read(edge.rpc), edge)

    async def Watch(self, request: edge_pb2.WatchEdgeRequest, context: Any) -> AsyncIterator[edge_pb2.EdgeEvent]:
        bus, rules = self._edge.news.bus, frozenset(request.rules)
        watcher = bus.join()
        await context.send_initial_metadata(())  # from now on nothing is missed
        try:
            while (event := await watcher.get()) is not None:
                if not rules or event.rule in rules:
                    yield _event(event)
        finally:
            bus.leave(watcher)

    async def ListAudit(self, request: edge_pb2.ListAuditRequest, context: Any) -> edge_pb2.ListAuditResponse:
        most = min(request.page_size or PAGE, LONGEST_PAGE)
        before = _number(request.page_token)
        found = await asyncio.to_thread(self._edge.audit.records, most + 1, before)
        token = str(found[most - 1].number) if len(found) > most else ""
        return edge_pb2.ListAuditResponse(records=map(_record, found[:most]), next_page_token=token)


def _number(token: str) -> int | None:
    if token and not (token.isascii() and token.isdecimal() and len(token) < 19):
        raise InvalidRequest("page_token: not one of ours", "page_token")
    return int(token) if token else None


def _status(now: status.EdgeStatus, edge: Edge) -> edge_pb2.EdgeStatus:
    memory, transactions, dialogs = now.shared_memory, now.transactions, now.dialogs
    return edge_pb2.EdgeStatus(
        up=now.up, why=now.why, version=now.version, pid=now.pid, uptime_s=now.uptime_s,
        shared_memory=edge_pb2.EdgeMemory(
            total_octets=memory.get("total", 0), used_octets=memory.get("real_used", 0),
            most_used_octets=memory.get("max_used", 0), fragments=memory.get("fragments", 0),
        ),
        transactions=edge_pb2.EdgeTransactions(
            current=transactions.get("current", 0), waiting=transactions.get("waiting", 0),
            total=transactions.get("total", 0),
            replies={name: transactions[name] for name in status.REPLY_CLASSES if name in transactions},
        ),
        dialogs=edge_pb2.EdgeDialogs(**{name: dialogs.get(name, 0) for name in status.DIALOG_STATES}),
        decisions=now.decisions, database=str(edge.database.url), database_why=edge.database_why,
        events_refused=edge.news.refused, websocket=_websocket(now),
    )  # fmt: skip


def _websocket(now: status.EdgeStatus) -> edge_pb2.EdgeWebsocket | None:
    found = now.websocket
    return edge_pb2.EdgeWebsocket(sessions=found["current"], most_sessions=found.get("most", 0)) if found else None


def _event(event: EdgeEvent) -> edge_pb2.EdgeEvent:
    return edge_pb2.EdgeEvent(
        time=_time(event.time), event=event.event, rule=event.rule, status=event.status, call_id=event.call_id,
        method=event.method, source=event.source, details=event.details,
    )  # fmt: skip


def _record(record: Record) -> edge_pb2.AuditRecord:
    return edge_pb2.AuditRecord(
        number=record.number, time=_time(record.time), who=record.who, action=record.action, target=record.target,
        before=_json(record.before), after=_json(record.after),
    )  # fmt: skip


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=True)


def _time(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1000)
