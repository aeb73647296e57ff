"""The whole machine as one tree of frozen values. `read` looks at this one; `simulated` makes others up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from firmware_iface import accelerators, cpu, isolation, memory, nic, privileges
from firmware_iface.accelerators import Accelerator
from firmware_iface.cpu import Cpu
from firmware_iface.isolation import Isolation
from firmware_iface.memory import Memory
from firmware_iface.nic import Nic
from firmware_iface.privileges import Privileges


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: Cpu
    nics: tuple[Nic, ...] = ()
    memory: Memory = field(default_factory=Memory)
    isolation: Isolation = field(default_factory=Isolation)
    privileges: Privileges = field(default_factory=Privileges)
    accelerators: tuple[Accelerator, ...] = ()
    faults: tuple[str, ...] = ()  # what could not be found out, in words

    def nic(self, name: str) -> Nic | None:
        return next((found for found in self.nics if found.name == name), None)

    def below(self, name: str) -> Nic | None:
        """The NIC whose queues carry the packets of that interface: a VLAN's parent, else itself."""
        found = self.nic(name)
        if found is None or found.link.vlan is None:
            return found
        return next((other for other in self.nics if other.link.index == found.link.parent), None)


def read(root: Path = Path("/"), allowed: frozenset[int] | None = None) -> Machine:
    """This machine, as the calling thread's network namespace shows it. Takes a few milliseconds and never fails for
    what is missing. `root`: where /proc and /sys are (links are always those of netlink). `allowed`:
    the cores that may be used (by default the affinity mask of this process)."""
    faults: list[str] = []
    nics: tuple[Nic, ...] = ()
    try:
        nics = nic.read(root)
    except OSError as error:
        faults.append(f"network interfaces: {error.strerror or error}")
    return Machine(
        cpu=cpu.read(root, allowed),
        nics=nics,
        memory=memory.read(root),
        isolation=isolation.read(root),
        privileges=privileges.read(root),
        accelerators=accelerators.read(root),
        faults=tuple(faults),
    )


def as_tree(machine: Machine) -> dict[str, Any]:
    """Plain values, for JSON."""
    return asdict(machine)
