"""Which worker takes a call: a pure function of what each has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from appliance.errors import GatewayError, InvalidRequest, NoCapacity, Overloaded
from appliance.placement.algorithms import Candidate, Turn, order
from appliance.values import frozen

ALGORITHMS = {"call-load": 10, "round-robin": 4, "relative-weight": 11}  # of the SIP edge's destination sets (row O37)
RUNG = 1_000_000  # calls: more than a worker can have, so that a rung counts before them


@frozen
class Need:
    """What a call asks of its worker (all of its contexts live on one)."""

    flows: int
    cryptos: int
    ports: Mapping[str, int]  # by interface; 0: it has its ports already


@frozen
class Load:
    """One worker as the placer sees it."""

    worker: int
    available: bool  # running and not drained
    calls: int
    busy: float  # share of its core, 0..1
    flows_free: int
    cryptos_free: int
    ports_free: Mapping[str, int]
    rung: int = 0  # what `busy` counts as when workers are compared (load.settle)
    node: int | None = None  # NUMA node of its core; None: unknown, or the machine has one


@frozen
class Rules:
    """What else decides."""

    admit_below: float = 1.0  # share of its core from which on a worker takes no new calls
    nodes: Mapping[str, int | None] = field(default_factory=dict)  # NUMA node by interface
    algorithm: int = ALGORITHMS["call-load"]  # among the nearest


def place(loads: Sequence[Load], need: Need, rules: Rules | None = None, count: int = 0) -> int:
    """The worker that has room: nearest to the interfaces, then by the algorithm; by default least loaded by share of
    its core, then by calls, then by number. `count`: calls placed before, for algorithms that take turns. NoCapacity;
    Overloaded: all that have room are too busy; InvalidRequest for an interface that we do not have.

    A near worker is taken while it is below the limit: packets that cross between the nodes cost every one of them.
    """
    rules = rules or Rules()
    fitting = [load for load in loads if load.available and _fits(load, need)]
    if not fitting:
        raise _refusal(loads, need)
    admitted = [load for load in fitting if load.busy < rules.admit_below]
    if not admitted:
        least = min(fitting, key=lambda load: load.busy)
        raise Overloaded(f"worker {least.worker} busy {least.busy:.0%}, limit {rules.admit_below:.0%}")
    if len(admitted) == 1:
        return admitted[0].worker
    least_far = min(_far(load, need, rules) for load in admitted)
    near = sorted((load for load in admitted if _far(load, need, rules) == least_far), key=lambda load: load.worker)
    turn = Turn(0 if rules.algorithm == ALGORITHMS["call-load"] else count)  # equals by number, not in turns
    return near[order(rules.algorithm, [_candidate(load) for load in near], turn)[0]].worker


def _candidate(load: Load) -> Candidate:
    """A worker as the algorithms see it: its weight is the share of its core that is left."""
    return Candidate(load=load.rung * RUNG + load.calls, rweight=max(1, round(100 * (1 - load.busy))))


def _far(load: Load, need: Need, rules: Rules) -> int:
    """Interfaces of the call on another NUMA node."""
    nodes = [rules.nodes.get(interface) for interface in need.ports]
    return sum(node is not None and load.node is not None and node != load.node for node in nodes)


def _fits(load: Load, need: Need) -> bool:
    return (
        load.flows_free >= need.flows
        and load.cryptos_free >= need.cryptos
        and all(load.ports_free.get(interface, 0) >= count for interface, count in need.ports.items())
    )


def _refusal(loads: Sequence[Load], need: Need) -> GatewayError:
    if not any(load.available for load in loads):
        return NoCapacity("no media worker is available")
    unknown = [name for name in need.ports if all(name not in load.ports_free for load in loads)]
    if unknown:
        return InvalidRequest(f"no such interface: {unknown[0][:40]!r}", "interface")
    return NoCapacity("every media worker is full")
