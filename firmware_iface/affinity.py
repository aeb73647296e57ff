"""Where interrupts of media queues fire, and that the kernel does not spread their packets again (RPS, XPS).

`plan` is pure; `apply` writes /proc and /sys, which takes root. What may not be written is told, not hidden.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs
from firmware_iface.nic import Nic


@dataclass(frozen=True, slots=True)
class Setting:
    """One file and what is to stand in it."""

    path: str  # below the root, such as proc/irq/38/smp_affinity_list
    value: str
    what: str  # in words


@dataclass(frozen=True, slots=True)
class Applied:
    setting: Setting
    before: str
    error: str = ""  # why it is not as wanted; "": it is

    @property
    def changed(self) -> bool:
        return not self.error and not _same(self.setting, self.before)


def plan(nic: Nic, cores: Mapping[int, int], spreading_off: bool = True) -> tuple[Setting, ...]:
    """`cores`: queue -> core of its worker. A queue without an interrupt of its own (veth) needs none."""
    found = []
    for queue, core in sorted(cores.items()):
        interrupt = nic.interrupt(queue)
        if interrupt is not None:
            found.append(
                Setting(
                    f"proc/irq/{interrupt.number}/smp_affinity_list",
                    str(core),
                    f"interrupt {interrupt.number} of {nic.name} queue {queue} to core {core}",
                )
            )
        if spreading_off:
            folder = f"sys/class/net/{nic.name}/queues"
            found.append(Setting(f"{folder}/rx-{queue}/rps_cpus", "0", f"no RPS on {nic.name} queue {queue}"))
            found.append(Setting(f"{folder}/tx-{queue}/xps_cpus", "0", f"no XPS on {nic.name} queue {queue}"))
    return tuple(found)


def apply(settings: tuple[Setting, ...], root: Path = Path("/")) -> tuple[Applied, ...]:
    """Write what is not so yet. Repeating it changes nothing."""
    return tuple(_apply(root, setting) for setting in settings)


def _apply(root: Path, setting: Setting) -> Applied:
    path = root / setting.path
    before = sysfs.text(path)
    if not path.exists():
        return Applied(setting, before, "the kernel has no such file")
    if _same(setting, before):
        return Applied(setting, before)
    try:
        path.write_text(setting.value)
    except PermissionError:
        return Applied(setting, before, "not permitted (needs root)")
    except OSError as error:
        return Applied(setting, before, error.strerror or os.strerror(error.errno or 0))
    return Applied(setting, before)


def _same(setting: Setting, present: str) -> bool:
    if setting.path.endswith("_list"):
        return sysfs.parse_list(present) == sysfs.parse_list(setting.value)
    # Masks of many cores are written with commas and leading zeros: "00000000,00000000" is "0".
    return (present.replace(",", "").lstrip("0") or "0") == setting.value
