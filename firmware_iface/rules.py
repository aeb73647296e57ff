"""Flow rules of a NIC, pure: a range of UDP ports to a queue becomes rules, and wanted against present becomes a plan.

A rule matches a destination port under a mask, so a range is cut into blocks whose size is a power of two and whose
first port is a multiple of it (as networks are cut into prefixes). A range that is such a block itself takes one rule
per family: placement that aligns its shares makes steering cheap.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EXACT = 0xFFFF


@dataclass(frozen=True, slots=True)
class Share:
    """What one queue is to get: UDP packets to these ports; to this address only, or (empty) to any of the NIC."""

    ports: range
    queue: int
    address: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """UDP over IPv4 or IPv6 with (destination port & mask) == port goes to `queue`."""

    family: int  # 4, 6
    port: int
    mask: int
    queue: int
    address: str = ""  # destination; "": any

    def covers(self, port: int) -> bool:
        return port & self.mask == self.port


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes the present rules the wanted ones: first `remove` (locations), then `add`."""

    remove: tuple[int, ...] = ()
    add: tuple[Rule, ...] = ()
    keep: tuple[int, ...] = ()  # locations of wanted rules that are there


def blocks(ports: range) -> tuple[tuple[int, int], ...]:
    """(first port, mask) of the fewest aligned power-of-two blocks that are exactly `ports`. ValueError."""
    if ports.step != 1 or (ports and not 0 <= ports[0] <= ports[-1] <= EXACT):
        raise ValueError(f"{ports} is no range of ports")
    found = []
    first, end = ports.start, ports.stop
    while first < end:
        size = first & -first or EXACT + 1
        while first + size > end:
            size >>= 1
        found.append((first, EXACT & ~(size - 1)))
        first += size
    return tuple(found)


def masked(shares: Iterable[Share]) -> tuple[Rule, ...]:
    """The rules of all shares, for NICs that take masks."""
    return tuple(
        Rule(family, port, mask, share.queue, share.address)
        for share in shares
        for port, mask in blocks(share.ports)
        for family in families(share.address)
    )


def exact(shares: Iterable[Share]) -> tuple[Rule, ...]:
    """One rule per port, for NICs that take whole ports only (i40e)."""
    return tuple(
        Rule(family, port, EXACT, share.queue, share.address)
        for share in shares
        for port in share.ports
        for family in families(share.address)
    )


def families(address: str) -> tuple[int, ...]:
    return (ipaddress.ip_address(address).version,) if address else (4, 6)


def plan(wanted: Sequence[Rule], present: Mapping[int, Rule | None], ours: Mapping[int, Rule]) -> Plan:
    """What to do.

    `present`: location -> rule in the NIC (None: one that is no UDP rule as ours are); `ours`: what we set earlier.
    A rule is ours when its location still holds what we put there, or when it is one of the wanted: whoever made it,
    a second one would do the same. All others are somebody's and stay.
    """
    missing = dict.fromkeys(wanted)
    keep, remove = [], []
    for location, rule in sorted(present.items()):
        if rule is not None and rule in missing:
            del missing[rule]
            keep.append(location)
        elif rule is not None and ours.get(location) == rule:
            remove.append(location)
    return Plan(tuple(remove), tuple(missing), tuple(keep))


def free_locations(taken: Iterable[int], room: int, count: int) -> tuple[int, ...]:
    """The highest free places: rules of an operator, who counts from 0, come first. ValueError: not so many."""
    used = set(taken)
    found = [place for place in range(room - 1, -1, -1) if place not in used][:count]
    if len(found) < count:
        raise ValueError(f"{count} flow rules needed, room for {len(found)}")
    return tuple(found)


def spread(entries: int, queues: Sequence[int]) -> tuple[int, ...]:
    """RSS indirection over the media queues alone, evenly: the next best where rules cannot be had."""
    if not queues:
        raise ValueError("no queues")
    return tuple(queues[place % len(queues)] for place in range(entries))
