"""Sets NICs up for media: worker n's ports to queue n, queue n's interrupt to worker n's core. `plan` is pure.

Done by root before the media plane starts; repeating it changes nothing, an empty plan takes back all that is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_iface import affinity, steering
from firmware_iface.affinity import Applied
from firmware_iface.inventory import Machine
from firmware_iface.rules import Share
from firmware_iface.steering import Outcome, RuleBook


@dataclass(frozen=True, slots=True)
class Worker:
    """Index is its place in the sequence given."""

    core: int
    ports: range  # on one address


@dataclass(frozen=True, slots=True)
class NicPlan:
    """What one NIC (a VLAN's parent) is to do."""

    device: str
    shares: tuple[Share, ...]
    cores: Mapping[int, int]  # queue -> core


@dataclass(frozen=True, slots=True)
class Plan:
    nics: tuple[NicPlan, ...] = ()
    notes: tuple[str, ...] = ()  # what is not set up and why


@dataclass(frozen=True, slots=True)
class Report:
    outcomes: tuple[Outcome, ...]
    settings: tuple[Applied, ...]
    notes: tuple[str, ...]

    def lines(self) -> Iterable[str]:
        """For the log."""
        yield from self.notes
        for outcome in self.outcomes:
            words = f"{outcome.device}: steering by {outcome.how}" if outcome.how != "none" else f"{outcome.device}:"
            counts = f" {outcome.rules} rules ({outcome.added} new, {outcome.removed} gone)" if outcome.steered else ""
            why = f" {outcome.why}: packets on the wrong queue are handed over" if outcome.why else ""
            if counts or why or outcome.removed:
                yield f"{words}{counts}{why}"
        for done in self.settings:
            if done.error:
                yield f"{done.setting.what}: {done.error}"
            elif done.changed:
                yield done.setting.what


def plan(machine: Machine, owners: Mapping[str, str], addresses: Mapping[str, Sequence[Worker]]) -> Plan:
    """`owners`: local address -> interface that has it; `addresses`: those that carry media, each with all workers."""
    shares: dict[str, list[Share]] = {}
    cores: dict[str, dict[int, int]] = {}
    notes: list[str] = []
    for address, workers in addresses.items():
        nic = machine.below(owners.get(address, ""))
        if nic is None:
            notes.append(f"{address}: no interface has it")
        elif nic.unsuitable or nic.link.loopback:
            notes.append(f"{address}: {nic.name}: {nic.unsuitable or 'loopback has no queues'}")
        else:
            served = list(workers[: nic.queues])
            if len(served) < len(workers):
                notes.append(f"{nic.name} has {nic.queues} queues: worker {len(served)} and up get packets handed over")
            found = [Share(worker.ports, queue, address) for queue, worker in enumerate(served)]
            shares.setdefault(nic.name, []).extend(found)
            cores.setdefault(nic.name, {}).update(_cores(found, workers))
    nics = (NicPlan(name, tuple(found), cores[name]) for name, found in shares.items())
    return Plan(tuple(nics), tuple(dict.fromkeys(notes)))


def apply(machine: Machine, wanted: Plan, book: RuleBook, root: Path = Path("/")) -> Report:
    """OSError only when the book cannot be written; everything else is in the report."""
    outcomes = [steering.apply(one.device, one.shares, book) for one in wanted.nics]
    planned = {one.device for one in wanted.nics}
    outcomes += [steering.apply(device, (), book) for device in book.devices() if device not in planned]
    settings: list[Applied] = []
    for one in wanted.nics:
        nic = machine.nic(one.device)
        if nic is not None:
            settings += affinity.apply(affinity.plan(nic, one.cores), root)
    return Report(tuple(outcomes), tuple(settings), wanted.notes)


def _cores(shares: Sequence[Share], workers: Sequence[Worker]) -> dict[int, int]:
    return {share.queue: workers[share.queue].core for share in shares}
