"""A destination out of a set, and the next one when it fails (rows O00-O37).

Kamailio's dispatcher module has the table, pings, states, thresholds and latencies; asked by RPC inside the process, it
says what it knows, and `appliance.placement.algorithms` chooses. Load is counted in Kamailio's dialogs (profile
`destination`): it ends with the dialog however that ends, and is neither lost by dispatcher.reload nor by a restart.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from typing import Any

import KSR

from appliance.placement import algorithms
from appliance.placement.algorithms import Candidate, Turn
from appliance.sip_edge.ksr import outgoing, read, say
from appliance.sip_edge.ksr.routing import RoutingTable, Trunk
from appliance.sip_edge.ksr.rules import balance as rules
from appliance.sip_edge.ksr.rules.balance import BalanceRules, Destination, DestinationSet

LIST = json.dumps({"jsonrpc": "2.0", "method": "dispatcher.list", "id": 1})
TRIED = "_dsdst_"  # xavp where Kamailio's ds_mark_dst looks for the destination that it is about
MARKING = "$var(ds_marking)"  # the destination that ds_mark_dst is about while its event runs: $ru is the call's then


class _Known:
    """What this process knows of all sets: as new as the last change of a state, and never older than refresh_ms."""

    def __init__(self) -> None:
        self.sets: dict[int, tuple[Destination, ...]] = {}
        self._generation: Any = None
        self._until = 0.0

    def fresh(self, refresh_ms: int) -> dict[int, tuple[Destination, ...]]:
        generation = KSR.htable.sht_get(rules.COUNTERS, rules.GENERATION)
        now = time.monotonic()
        if generation != self._generation or now >= self._until:
            KSR.jsonrpcs.execx(LIST)
            self.sets = rules.listing(json.loads(KSR.pv.gete("$jsonrpl(body)")).get("result") or {})
            self._generation, self._until = generation, now + refresh_ms / 1000
        return self.sets


_known = _Known()


def select(table: RoutingTable, word: str) -> bool:
    """Set $du (and the socket) to a destination of the set that `word` names, more of them for `next`. False: none can
    take the call, which has been answered 404 (row O31)."""
    balance = table.balance
    chosen_set = balance.find(word)
    if chosen_set is None:
        say.refuse(404, "No destination", "no_destination_set", set=word)
        return False
    if not balance.force_dst and KSR.pv.gete("$du"):
        return True
    targets = _choose(balance, chosen_set)
    if not targets:
        say.refuse(404, "No destination", "no_destination", set=chosen_set.id)
        return False
    if chosen_set.algorithm == rules.PARALLEL:
        _fork(table, targets)
        targets = targets[:1]
    KSR.pv.sets("$avp(ds_set)", f"{rules.SET}{chosen_set.id}")
    KSR.pv.sets("$avp(ds_rest)", json.dumps([target.uri for target in targets[1 : chosen_set.limit or None]]))
    _take(balance, chosen_set, targets[0])
    return True


def next(table: RoutingTable, status: int) -> bool:
    """In a failure route: whether the call goes to another destination, which then is in $du. Never for a caller who
    has hung up (row O32)."""
    balance = table.balance
    chosen_set = balance.find(KSR.pv.gete("$avp(ds_set)"))
    if chosen_set is None or KSR.tm.t_is_canceled() > 0:
        return False
    timeout = KSR.tm.t_branch_timeout() > 0 and KSR.tm.t_branch_replied() < 0
    failed = KSR.pv.gete("$avp(ds_now)")
    if chosen_set.mark and rules.matches(chosen_set.mark_on, status, timeout):
        _mark(chosen_set, failed)
    return rules.matches(chosen_set.failover, status, timeout) and _go_on(balance, chosen_set, status=status)


def skip(table: RoutingTable, reason: str) -> bool:
    """In a failure route: the destination that `next` or this function put into $du was never asked, because our own
    policy forbids that (`reason`): nothing is said of its health. Whether there is another one."""
    chosen_set = table.balance.find(KSR.pv.gete("$avp(ds_set)"))
    return chosen_set is not None and _go_on(table.balance, chosen_set, reason=reason)


def changed(event: str) -> None:
    """Kamailio's events dispatcher:dst-down and dst-up: told once, and every process looks again (row O27)."""
    KSR.htable.sht_inc(rules.COUNTERS, rules.GENERATION)
    word = "destination_" + event.rpartition("-")[2]
    say.count(word)
    say.event(word, destination=KSR.pv.gete(MARKING) or read.text("$ru"))


def local_request(table: RoutingTable) -> None:
    """Event tm:local-request. A ping waits a ping's time for its answer, not a call's; a destination that is not to be
    pinged (flag 32, which Kamailio 5.6 does not know) gets none (row O25)."""
    if not table.balance.enabled or KSR.pv.gete("$rm") != table.balance.ping_method:
        return
    uri = read.text("$ru")
    sets = _known.fresh(table.balance.refresh_ms).values()
    if any(one.uri == uri and not one.pinged for members in sets for one in members):
        KSR.set_drop()
        return
    _leaves(table, uri)
    KSR.tm.t_set_fr(0, table.balance.ping_timeout_ms)


def load(destination: Destination, expire_s: int) -> int:
    """Calls that it has: dialogs of the last `expire_s`."""
    return sum(_calls(value) for value in rules.load_values(destination.duid, time.time(), expire_s))


def _choose(balance: BalanceRules, chosen_set: DestinationSet) -> list[Destination]:
    destinations = list(_known.fresh(balance.refresh_ms).get(chosen_set.id, ()))
    spare = destinations[-1:] if balance.use_default and len(destinations) > 1 else []
    regular = destinations[: len(destinations) - len(spare)]
    turn = _turn(balance, chosen_set)
    if chosen_set.algorithm not in algorithms.ALGORITHMS:
        say.count("unknown_algorithm")  # the settings' check has warned of it (row O16)
    candidates = [_candidate(balance, chosen_set, one) for one in regular]
    ordered = [regular[place] for place in algorithms.order(chosen_set.algorithm, candidates, turn)]
    return ordered + [one for one in spare if one.active]


def _candidate(balance: BalanceRules, chosen_set: DestinationSet, one: Destination) -> Candidate:
    calls = load(one, balance.load_expire_s) if chosen_set.algorithm == rules.CALL_LOAD else 0
    return one.candidate(calls, cc=chosen_set.congestion_control)


def _turn(balance: BalanceRules, chosen_set: DestinationSet) -> Turn:
    count = int(KSR.htable.sht_inc(rules.COUNTERS, f"calls:{chosen_set.id}"))
    return Turn(max(0, count - 1), random.random(), _keys(balance, chosen_set))


def _keys(balance: BalanceRules, chosen_set: DestinationSet) -> tuple[str, ...] | None:
    template = chosen_set.hash if chosen_set.algorithm == 7 else rules.HASHES.get(chosen_set.algorithm, "")
    if not template:
        return None
    if chosen_set.algorithm != 7:
        text = KSR.pv.gete(template)
    else:
        KSR.pvx.evalx("$var(ds_hash)", template)
        text = KSR.pv.gete("$var(ds_hash)")
    if chosen_set.algorithm in rules.URIS:
        return rules.uri_keys(text, balance.user_only or chosen_set.algorithm == 3)
    return (text,) if text else None


def _go_on(balance: BalanceRules, chosen_set: DestinationSet, **why: object) -> bool:
    target = _following(balance, chosen_set)
    if target is None:
        return False
    say.count("destination_failover")
    failed = KSR.pv.gete("$avp(ds_now)")
    say.event("destination_failover", set=chosen_set.id, failed=failed, next=target.uri, **why)
    _take(balance, chosen_set, target)
    return True


def _following(balance: BalanceRules, chosen_set: DestinationSet) -> Destination | None:
    """The first of those left that can still take the call."""
    known = {one.uri: one for one in _known.fresh(balance.refresh_ms).get(chosen_set.id, ())}
    rest = json.loads(KSR.pv.gete("$avp(ds_rest)") or "[]")
    while rest:
        target = known.get(rest.pop(0))
        if target is not None and target.active and not _candidate(balance, chosen_set, target).full:
            KSR.pv.sets("$avp(ds_rest)", json.dumps(rest))
            return target
    KSR.pv.sets("$avp(ds_rest)", "[]")
    return None


def _take(balance: BalanceRules, chosen_set: DestinationSet, target: Destination) -> None:
    KSR.pv.sets("$avp(ds_now)", target.uri)
    _address(target)
    if chosen_set.answer_timeout_ms:
        KSR.tm.t_set_fr(0, chosen_set.answer_timeout_ms)
    if chosen_set.algorithm == rules.CALL_LOAD:
        _count(balance, target)


def _address(target: Destination) -> None:
    KSR.pv.sets("$du", target.uri)
    socket = target.attributes.get("socket")
    if socket:
        KSR.pv.sets("$fs", socket)
    else:
        KSR.pv.unset("$fs")  # that of another destination which was tried before


def _fork(table: RoutingTable, targets: Sequence[Destination]) -> None:
    """A branch for each but the first, which the request itself becomes."""
    for target in targets[1:]:
        _address(target)
        _leaves(table, target.uri)
        KSR.corex.append_branch()


def _leaves(table: RoutingTable, uri: str) -> None:
    outgoing.leaves(table, table.by_next_hop(uri) or Trunk(name=""), uri)


def _count(balance: BalanceRules, target: Destination) -> None:
    """The call counts for `target`, and for no other that it was at before."""
    before = KSR.pv.gete("$dlg_var(destination)")
    if before:
        KSR.dialog.unset_dlg_profile(rules.PROFILE, before)
    value = rules.load_values(target.duid, time.time(), balance.load_expire_s)[0]
    KSR.pv.sets("$dlg_var(destination)", value)
    KSR.dialog.set_dlg_profile(rules.PROFILE, value)


def _calls(value: str) -> int:
    if KSR.dialog.get_profile_size(rules.PROFILE, value, "$var(ds_load)") < 0:
        return 0
    return int(KSR.pv.get("$var(ds_load)") or 0)


def _mark(chosen_set: DestinationSet, uri: str) -> None:
    """ds_mark_dst of the destination that was tried last (row O33)."""
    KSR.pvx.xavp_rm(TRIED)
    KSR.pvx.xavp_child_seti(TRIED, "grp", chosen_set.id)
    KSR.pvx.xavp_child_sets(TRIED, "uri", uri)
    KSR.pv.sets(MARKING, uri)
    KSR.dispatcher.ds_mark_dst_state(chosen_set.mark)
    KSR.pv.sets(MARKING, "")
    KSR.htable.sht_inc(rules.COUNTERS, rules.GENERATION)
