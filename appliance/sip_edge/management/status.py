"""How the running Kamailio is: what its RPC says about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.sip_edge.rpc import Rpc, RpcRefused, RpcUnavailable

DIALOG_STATES = ("starting", "connecting", "answering", "ongoing")
SESSIONS = {"websocket:ws_current_connections": "current", "websocket:ws_max_concurrent_connections": "most"}
REPLY_CLASSES = ("2xx", "3xx", "4xx", "5xx", "6xx")


@dataclass(frozen=True)
class EdgeStatus:
    """Numbers since Kamailio started, unless they are of now."""

    up: bool = False
    why: str = ""  # why not
    version: str = ""
    pid: int = 0  # main process
    uptime_s: int = 0
    shared_memory: Mapping[str, int] = field(default_factory=dict)  # total, used, max_used (octets), fragments
    transactions: Mapping[str, int] = field(default_factory=dict)  # current, waiting, total; "2xx" ..: final replies
    dialogs: Mapping[str, int] = field(default_factory=dict)  # by state, now
    decisions: Mapping[str, int] = field(default_factory=dict)  # refusals and drops by rule
    websocket: Mapping[str, int] = field(default_factory=dict)  # sessions: current, most; empty: not listened for


async def read(rpc: Rpc) -> EdgeStatus:
    """Does not raise: an edge that is away is a status too."""
    try:
        version = await rpc.call("core.version")
    except (RpcUnavailable, RpcRefused) as error:
        return EdgeStatus(why=str(error))
    uptime, processes, memory, transactions, dialogs, rules, sessions = await asyncio.gather(
        _ask(rpc, "core.uptime"), _ask(rpc, "core.psx"), _ask(rpc, "core.shmmem"), _ask(rpc, "tm.stats"),
        _ask(rpc, "dlg.stats_active"), _ask(rpc, "htable.dump", "rules"), _ask(rpc, "stats.fetch", *SESSIONS),
    )  # fmt: skip
    return EdgeStatus(
        up=True, version=str(version).strip(), pid=_main_process(processes),
        uptime_s=_numbers(uptime).get("uptime", 0), shared_memory=_numbers(memory),
        transactions=_numbers(transactions), dialogs=_numbers(dialogs), decisions=slots(rules),
        websocket=_sessions(sessions),
    )  # fmt: skip


def slots(dump: Any) -> dict[str, int]:
    """The integers of an htable.dump by name."""
    entries = dump if isinstance(dump, list) else []
    found = [slot for entry in entries if isinstance(entry, dict) for slot in entry.get("slot", ())]
    return {str(slot["name"]): slot["value"] for slot in found if isinstance(slot.get("value"), int)}


async def _ask(rpc: Rpc, method: str, *params: str) -> Any:
    """None when this Kamailio does not have it (a module that is not loaded), or went away meanwhile."""
    try:
        return await rpc.call(method, *params)
    except (RpcUnavailable, RpcRefused):
        return None


def _numbers(found: Any) -> dict[str, int]:
    items = found.items() if isinstance(found, dict) else ()
    return {str(name): value for name, value in items if isinstance(value, int)}


def _sessions(found: Any) -> dict[str, int]:
    """Of stats.fetch: numbers as strings, by "group.name"."""
    items = found if isinstance(found, dict) else {}
    named = {word: str(items.get(name.replace(":", "."), "")) for name, word in SESSIONS.items()}
    return {word: int(value) for word, value in named.items() if value.isdecimal()}


def _main_process(processes: Any) -> int:
    rows = processes if isinstance(processes, list) else []
    return next((int(row["PID"]) for row in rows if isinstance(row, dict) and row.get("IDX") == 0), 0)
