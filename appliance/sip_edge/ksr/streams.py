"""Connections that say nothing, or nothing that is SIP, are closed; the first good message gives one a long life."""

from __future__ import annotations

import json
import time

import KSR

from appliance.sip_edge.ksr import say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules.streams import PROTECTED, USED, StreamRules, Watch

LIST = json.dumps({"jsonrpc": "2.0", "method": "core.tcp_list", "id": 1})

_watch = Watch(StreamRules())  # of the timer's process


def note(table: RoutingTable) -> None:
    """A good message: its connection is of use."""
    times = table.streams.times(say.transport()) if table.streams.enabled else None
    if times is None:
        return
    KSR.tcpops.tcp_set_connection_lifetime(times[1])
    peer = _peer()
    if KSR.htable.sht_get(USED, peer) is None:
        KSR.htable.sht_seti(USED, peer, 1)


def look(table: RoutingTable) -> None:
    """Now and then, in a process of its own: those whose time is over are closed."""
    global _watch
    if _watch.rules != table.streams:
        _watch = Watch(table.streams)
    KSR.jsonrpcs.execx(LIST)
    listed = json.loads(KSR.pv.gete("$jsonrpl(body)") or "{}").get("result") or []
    for number in _watch.overdue(listed if isinstance(listed, list) else [listed], time.monotonic()):
        say.count("stream_silent")
        KSR.tcpops.tcp_close_connection_id(number)


def closed(table: RoutingTable) -> None:
    """The other side ended a connection, or its handshake failed. One that never brought a good message is counted; why
    a handshake failed is in Kamailio's log (`tls_err_ret`). Those that time out are not told by Kamailio."""
    transport = say.transport()
    if not table.streams.enabled or table.streams.times(transport) is None:
        return
    peer = _peer()
    if KSR.htable.sht_get(USED, peer) is None:
        say.count("tls_unused" if transport in PROTECTED else "tcp_unused")
    else:
        KSR.htable.sht_rm(USED, peer)


def _peer() -> str:
    """A connection's number is gone when it has ended."""
    return f"{KSR.pv.gete('$si')}:{KSR.pv.gete('$sp')}"
