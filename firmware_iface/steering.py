"""Tells NICs which queue takes which UDP ports, and says plainly when one cannot.

Masks first; whole ports where a driver refuses masks; where it refuses rules at all, RSS over the media queues alone
(the hand-off ring does the rest). Needs CAP_NET_ADMIN. What we set is remembered in a file, so that a later process
takes back its own rules and nobody else's.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from firmware_iface import flowspec, rules
from firmware_iface.ethtool import Device
from firmware_iface.rules import Rule, Share

GRXCLSRULE, GRXCLSRLALL, SRXCLSRLDEL, SRXCLSRLINS = 0x2F, 0x30, 0x31, 0x32
ANYWHERE = 0xFFFFFFFF  # RX_CLS_LOC_ANY
MOST_EXACT = 4096  # rules of one port each; more would take minutes and the whole table
REFUSALS = (errno.EINVAL, errno.EOPNOTSUPP, errno.ERANGE, errno.EPROTONOSUPPORT)  # of masks, in drivers' words


class FlowTable(Protocol):
    """The flow rules of one NIC: a driver's, or (simulated) a made-up one."""

    def room(self) -> tuple[int, bool]:
        """(places, does the driver choose them)."""

    def rules(self) -> dict[int, Rule | None]:
        """Location -> rule; None: not of our kind."""

    def insert(self, rule: Rule, location: int | None) -> int:
        """The location it got."""

    def remove(self, location: int) -> None: ...

    def spread(self, queues: Sequence[int]) -> None:
        """RSS over these queues alone."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish."""

    device: str
    how: str  # masks, ports, rss, none
    rules: int = 0  # in force for us
    added: int = 0
    removed: int = 0
    why: str = ""  # why not better, in words

    @property
    def steered(self) -> bool:
        """Do packets come to the queue of their port by themselves? If not, the hand-off ring is used."""
        return self.how in ("masks", "ports")


class KernelTable:
    """A driver's flow rules. Every call raises OSError."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def room(self) -> tuple[int, bool]:
        available, active = self._device.ntuple()
        if not available:
            raise OSError(errno.EOPNOTSUPP, "the driver has no flow rules")
        if not active:
            self._device.turn_ntuple_on()
        _, places, chooses = self._device.flow_table()
        return places, chooses

    def rules(self) -> dict[int, Rule | None]:
        count = self._device.flow_table()[0]
        question = struct.pack(f"IIQ168xI{4 * count}x4x", GRXCLSRLALL, 0, 0, count)
        answer = self._device.call(question)
        found = min(count, struct.unpack_from("I", answer, flowspec.COUNT)[0])
        return {place: self._rule(place) for place in struct.unpack_from(f"{found}I", answer, flowspec.LOCATIONS)}

    def insert(self, rule: Rule, location: int | None) -> int:
        answer = self._device.call(flowspec.encode(SRXCLSRLINS, rule, ANYWHERE if location is None else location))
        return int(struct.unpack_from("I", answer, flowspec.RULE + flowspec.LOCATION)[0])

    def remove(self, location: int) -> None:
        self._device.call(self._at(SRXCLSRLDEL, location))

    def spread(self, queues: Sequence[int]) -> None:
        entries = self._device.rss().entries
        if not entries:
            raise OSError(errno.EOPNOTSUPP, "the driver has no RSS table")
        self._device.set_indirection(rules.spread(entries, queues))

    def _rule(self, location: int) -> Rule | None:
        return flowspec.decode(self._device.call(self._at(GRXCLSRULE, location)))

    def _at(self, command: int, location: int) -> bytes:
        data = bytearray(flowspec.OCTETS)
        struct.pack_into("I", data, 0, command)
        struct.pack_into("I", data, flowspec.RULE + flowspec.LOCATION, location)
        return bytes(data)


class RuleBook:
    """Which rules are ours: device -> location -> rule, in a JSON file. A damaged file is an empty one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, device: str) -> dict[int, Rule]:
        try:
            return {int(place): Rule(**rule) for place, rule in self._all().get(device, {}).items()}
        except (TypeError, ValueError, AttributeError):
            return {}

    def save(self, device: str, ours: Mapping[int, Rule]) -> None:
        """OSError."""
        everything = {name: found for name, found in self._all().items() if name != device}
        if ours:
            everything[device] = {str(place): asdict(rule) for place, rule in ours.items()}
        # Root writes into a directory of others: a name of its own, never through a link that somebody put there.
        with tempfile.NamedTemporaryFile("w", dir=self._path.parent, prefix=".steering-", delete=False) as aside:
            json.dump(everything, aside)
        Path(aside.name).replace(self._path)

    def devices(self) -> tuple[str, ...]:
        """NICs that have, or may have, rules of ours."""
        return tuple(self._all())

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def apply(device: str, shares: Sequence[Share], book: RuleBook) -> Outcome:
    """Make the NIC send each share to its queue; no shares: take back what is ours. Repeating it changes nothing."""
    try:
        with Device(device) as opened:
            return steer(device, KernelTable(opened), shares, book)
    except OSError as error:
        return Outcome(device, "none", why=_words(error))


def steer(device: str, table: FlowTable, shares: Sequence[Share], book: RuleBook) -> Outcome:
    """As `apply`, on any table."""
    try:
        room, chooses = table.room()
    except OSError as error:
        return _spread(device, table, shares, f"no flow rules: {_words(error)}")
    why = ""
    for how, wanted in _ways(shares, book.load(device)):
        if how == "ports" and len(wanted) > MOST_EXACT:
            return _spread(device, table, shares, f"{why}; {len(wanted)} rules of one port each are too many")
        try:
            return _establish(device, how, table, wanted, None if chooses else room, book)
        except OSError as error:
            if error.errno not in REFUSALS:
                return _spread(device, table, shares, _words(error))
            why = f"the driver takes no rules of this kind ({_words(error)})"
        except ValueError as error:
            why = str(error)
    return _spread(device, table, shares, why)


def _ways(shares: Sequence[Share], ours: Mapping[int, Rule]) -> tuple[tuple[str, tuple[Rule, ...]], ...]:
    """Rules with masks, then one per port; the other way round where the latter are in force already."""
    masks, ports = ("masks", rules.masked(shares)), ("ports", rules.exact(shares))
    return (ports, masks) if ours and set(ours.values()) == set(ports[1]) else (masks, ports)


def _establish(
    device: str, how: str, table: FlowTable, wanted: Sequence[Rule], room: int | None, book: RuleBook
) -> Outcome:
    """All or nothing: rules that were added before one was refused are taken back. OSError, ValueError (no room)."""
    present = table.rules()
    plan = rules.plan(wanted, present, book.load(device))
    places: Sequence[int | None] = [None] * len(plan.add)
    if room is not None:
        places = rules.free_locations(set(present) - set(plan.remove), room, len(plan.add))
    for location in plan.remove:
        table.remove(location)
    mine = {place: rule for place in plan.keep if (rule := present[place]) is not None}
    # Remembered before it is done: a process that dies in between leaves no rule that nobody owns.
    book.save(device, mine | {place: rule for place, rule in zip(places, plan.add, strict=True) if place is not None})
    added: dict[int, Rule] = {}
    try:
        for rule, place in zip(plan.add, places, strict=True):
            added[table.insert(rule, place)] = rule
    except OSError:
        for location in added:
            with contextlib.suppress(OSError):
                table.remove(location)
        book.save(device, mine)
        raise
    book.save(device, mine | added)
    return Outcome(device, how if wanted else "none", len(mine) + len(added), len(added), len(plan.remove))


def _spread(device: str, table: FlowTable, shares: Sequence[Share], why: str) -> Outcome:
    queues = sorted({share.queue for share in shares})
    if not queues:
        return Outcome(device, "none", why=why)
    try:
        table.spread(queues)
    except OSError:
        return Outcome(device, "none", why=why)
    return Outcome(device, "rss", why=why)


def _words(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return "not permitted (CAP_NET_ADMIN)"
    return error.strerror or os.strerror(error.errno or 0)
