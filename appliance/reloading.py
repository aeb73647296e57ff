"""SIGHUP of the control process: which changed settings it takes over, and which wait for a restart of whom."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.config.changes import changes, merged
from appliance.config.rows import Effect
from appliance.config.schema import Settings

OF_THE_EDGE = ("sip", "trunks", "routes", "destination_sets", "address_groups")  # tables, or how their names begin


@dataclass(frozen=True)
class Plan:
    """Keys of settings. `settings`: those that count in this process from now on."""

    settings: Settings
    at_once: tuple[str, ...] = ()
    next_call: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()  # of control, and of the media holder
    sip_edge: tuple[str, ...] = ()  # says itself what it can take over (sip_edge/reloading.py)


def plan(old: Settings, new: Settings) -> Plan:
    """What the rows say of themselves. What the SIP edge knows of trunks and routes control knows too."""
    found = changes(old, new)
    ours = [one for one in found if not _of_the_edge(one.key)]
    live = [one for one in found if one.effect is not Effect.RESTART]
    by_effect = {effect: tuple(one.key for one in ours if one.effect is effect) for effect in Effect}
    return Plan(
        merged(old, new, [one.key for one in live]),
        by_effect[Effect.AT_ONCE], by_effect[Effect.NEXT_CALL], by_effect[Effect.RESTART],
        tuple(one.key for one in found if one not in ours),
    )  # fmt: skip


def _of_the_edge(key: str) -> bool:
    table = key.partition(".")[0]
    return table == OF_THE_EDGE[0] or table.startswith(f"{OF_THE_EDGE[0]}_") or table in OF_THE_EDGE[1:]
