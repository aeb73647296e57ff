"""Interrupts of NIC queues: which number is whose, and on which cores it may fire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from firmware_iface import sysfs

# How drivers call the interrupt of a receive queue: i40e-enp1s0-TxRx-3, ens5-Tx-Rx-3, eth0-rx-3, virtio2-input.3,
# eth0-3, mlx5_comp3@pci:0000:01:00.0. Send-only queues and the rest do not matter to receiving.
_QUEUE = re.compile(r"(?:-|-TxRx-|-Tx-Rx-|-rx-|_comp|-input\.)(?P<number>\d+)(?:@.*)?$", re.IGNORECASE)
_OTHER = re.compile(r"fdir|async|misc|event|ctrl|control|mailbox|mgmnt|admin|[^r]-tx-\d|^tx-\d", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interrupt:
    number: int
    name: str
    queue: int | None  # receive (or combined) queue; None: not of a queue, or of a send queue
    cores: tuple[int, ...]  # where it may fire
    count: int  # fired so far, all cores


def table(root: Path = Path("/")) -> dict[int, tuple[str, int]]:
    """/proc/interrupts: number -> (name, fired). Names with spaces keep their last word, which is the driver's."""
    lines = sysfs.text(root / "proc/interrupts").splitlines()
    cores = len(lines[0].split()) if lines else 0
    found: dict[int, tuple[str, int]] = {}
    for line in lines[1:]:
        number, _, rest = line.partition(":")
        words = rest.split()
        if number.strip().isdigit() and len(words) > cores:
            counts = [int(word) for word in words[:cores] if word.isdigit()]
            found[int(number)] = (words[-1], sum(counts))
    return found


def of_device(
    root: Path, name: str, known: Mapping[int, tuple[str, int]], queues: Mapping[int, int] = MappingProxyType({})
) -> tuple[Interrupt, ...]:
    """Interrupts of the NIC `name`: its own message-signalled ones, or (virtio) its parent's that bear its name.

    `queues`: interrupt -> receive queue, where the kernel tells (napi.py); else the interrupt's name does.
    """
    device = root / "sys/class/net" / name / "device"
    numbers = _message_signalled(device)
    if not numbers:
        owner = sysfs.link_name(device)  # virtio2
        parent = _message_signalled(_above(device))
        numbers = {number for number in parent if owner and known.get(number, ("", 0))[0].startswith(f"{owner}-")}
    mine = sorted(numbers & known.keys())
    told = any(number in queues for number in mine)
    return tuple(
        _interrupt(root, number, *known[number], queues.get(number) if told else queue_of(known[number][0]))
        for number in mine
    )


def queue_of(name: str) -> int | None:
    """Receive queue that the interrupt of that name serves."""
    found = _QUEUE.search(name)
    return int(found["number"]) if found and not _OTHER.search(name) else None


def _interrupt(root: Path, number: int, name: str, count: int, queue: int | None) -> Interrupt:
    cores = sysfs.cpu_list(root / f"proc/irq/{number}/smp_affinity_list")
    return Interrupt(number, name, queue, tuple(sorted(cores)), count)


def _message_signalled(device: Path) -> set[int]:
    try:
        return {int(entry.name) for entry in (device / "msi_irqs").iterdir() if entry.name.isdigit()}
    except OSError:
        return set()


def _above(device: Path) -> Path:
    try:
        return device.resolve().parent
    except OSError:
        return device
