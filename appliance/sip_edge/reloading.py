"""Which changed settings the running Kamailio can take over: those that are in the routing table alone, which the
script reads again (`ksr/fresh.py`). Everything that Kamailio itself read when it started waits for its next start.

    old, new settings -> each change alone: what would be rendered?
        nothing else than before   no business of the SIP edge
        another table alone        live
        anything else              restart
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from appliance.config.changes import changes, merged
from appliance.config.schema import Settings
from appliance.sip_edge.edge_config import EdgeConfig
from appliance.sip_edge.from_settings import edge_config
from appliance.sip_edge.kamailio import TABLE, give_to
from appliance.sip_edge.ksr import routing
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk

MOST_FORMER = 1000  # trunks that are gone, whose calls are not


@dataclass(frozen=True)
class Plan:
    """`live`, `restart`: keys of settings. `settings`: those that count from now on; `table`: of them."""

    live: tuple[str, ...]
    restart: tuple[str, ...]
    settings: Settings
    table: RoutingTable


def plan(running: RoutingTable, old: Settings, new: Settings, run: Path) -> Plan:
    """`running`: the table of now, made of `old`. OSError: a file that they name."""
    base = edge_config(old, run)
    live, restart = [], []
    for change in changes(old, new):
        found = edge_config(merged(old, new, {change.key}), run)
        if not _same_but_table(found, base):
            restart.append(change.key)
        elif found.table != base.table:
            live.append(change.key)
    settings = merged(old, new, live)
    wanted = edge_config(settings, run)
    if not _same_but_table(wanted, base):  # none of them alone, all of them together
        return Plan((), (*live, *restart), old, running)
    return Plan(tuple(live), tuple(restart), settings, _taken_over(running, base.table, wanted.table))


def carry_out(table: RoutingTable, run: Path, user: str) -> None:
    """Where the script finds it, at once and whole. OSError."""
    fresh = run / f"{TABLE}.new"
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(routing.dump(table))
    give_to(user, fresh)
    fresh.replace(run / TABLE)


def with_table(edge: EdgeConfig, table: RoutingTable) -> EdgeConfig:
    return replace(edge, table=table)


def _same_but_table(one: EdgeConfig, other: EdgeConfig) -> bool:
    return with_table(one, other.table) == other


def _taken_over(running: RoutingTable, base: RoutingTable, wanted: RoutingTable) -> RoutingTable:
    """What settings changed, and nothing that changed besides them: keys in files are read when Kamailio starts."""
    changed = {one.name: getattr(wanted, one.name) for one in fields(RoutingTable)
               if getattr(wanted, one.name) != getattr(base, one.name)}  # fmt: skip
    return replace(running, **changed, former=_former(running, changed.get("trunks", running.trunks)))


def _former(running: RoutingTable, trunks: Sequence[Trunk]) -> tuple[Trunk, ...]:
    """Trunks that are gone, the newest first: their calls go on as they began."""
    there = {trunk.name for trunk in trunks}
    gone = {trunk.name: trunk for trunk in (*running.trunks, *running.former) if trunk.name not in there}
    return tuple(gone.values())[:MOST_FORMER]
