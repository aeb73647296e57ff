"""Which worker takes a call: a pure function of what each has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.errors import GatewayError, InvalidRequest, NoCapacity


@dataclass(frozen=True, slots=True)
class Need:
    """What a call asks of its worker (all of its contexts live on one)."""

    flows: int
    cryptos: int
    ports: Mapping[str, int]  # by interface


@dataclass(frozen=True, slots=True)
class Load:
    """One worker as the placer sees it."""

    worker: int
    available: bool  # running and not drained
    calls: int
    busy: float  # share of its core, 0..1
    flows_free: int
    cryptos_free: int
    ports_free: Mapping[str, int]


BUSY_STEP = 0.1  # shares closer than this count as equal: measured load wobbles, the number of calls does not


def place(loads: Sequence[Load], need: Need) -> int:
    """The least loaded worker that has room: by share of its core, then by calls, then by number. NoCapacity;
    InvalidRequest for an interface that we do not have."""
    fitting = [load for load in loads if load.available and _fits(load, need)]
    if not fitting:
        raise _refusal(loads, need)
    return min(fitting, key=lambda load: (int(load.busy / BUSY_STEP), load.calls, load.worker)).worker


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
