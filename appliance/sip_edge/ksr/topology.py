"""Topology hiding while its key is changed (row K05): dialogs that began under the earlier key go on under it.

Kamailio's corex hands over what arrives before topoh reads it, and what leaves after topoh has masked it.
"""

from __future__ import annotations

import time

import KSR

from appliance.sip_edge.ksr import say
from appliance.sip_edge.ksr.routing import RoutingTable
from appliance.sip_edge.ksr.rules import masking
from appliance.sip_edge.ksr.rules.topology import NETWORK, OLD, TopologyRules

VARIABLE = "$dlg_var(mask)"  # tag of the key that a dialog began under


def network(table: RoutingTable, direction: str) -> int:
    """A message with something masked in it. One that is no UTF-8 stays as it is."""
    rules = table.topology
    if rules.mask is None or rules.earlier is None or time.time() > rules.until:
        return 1
    try:
        message = str(KSR.pv.gete("$mb"))
    except UnicodeDecodeError:
        return 1
    if direction == "in":
        if masking.marked(message, rules.earlier):
            _remember(rules, masking.call_id(message, (rules.earlier, rules.mask)))
        changed = masking.inwards(message, rules.earlier, rules.mask)
    else:
        changed = masking.outwards(message, rules.earlier, rules.mask, _is_old)
    if changed != message:
        KSR.pv.sets(NETWORK, changed)
    return 1


def begins(table: RoutingTable) -> None:
    """A dialog: under the key of now."""
    if table.topology.mask is not None:
        KSR.pv.sets(VARIABLE, table.topology.mask.tag)


def goes_on(table: RoutingTable) -> None:
    """A request within a dialog, which is at hand."""
    rules = table.topology
    if rules.earlier is not None and KSR.pv.gete(VARIABLE) == rules.earlier.tag:
        _remember(rules, say.call_id())


def ends(table: RoutingTable) -> None:
    """Kamailio's own BYE, before it leaves."""
    if table.topology.earlier is not None:
        KSR.dialog.dlg_get(say.call_id(), KSR.pv.gete("$ft"), KSR.pv.gete("$tt"))
        goes_on(table)


def _remember(rules: TopologyRules, call_id: str) -> None:
    left = int(rules.until - time.time())
    if call_id and left > 0:
        KSR.htable.sht_setxi(OLD, call_id, 1, left)


def _is_old(call_id: str) -> bool:
    return KSR.htable.sht_get(OLD, call_id) is not None
