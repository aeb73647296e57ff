"""What the processor can do and which cores we may use. Plain data out; no decisions about calls.

Read from /proc and /sys below a root, so that tests and `simulated` machines are folders.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs

# Names as /proc/cpuinfo spells them -> what the crypto back ends ask for.
X86_FEATURES = {
    "aes": "AES-NI",
    "pclmulqdq": "PCLMULQDQ",
    "avx2": "AVX2",
    "avx512f": "AVX-512F",
    "avx512bw": "AVX-512BW",
    "avx512vl": "AVX-512VL",
    "vaes": "VAES",
    "vpclmulqdq": "VPCLMULQDQ",
    "sha_ni": "SHA-NI",
}
ARM_FEATURES = {"aes": "ARMv8-AES", "pmull": "ARMv8-PMULL", "sha1": "ARMv8-SHA1", "sha2": "ARMv8-SHA2", "sve": "SVE"}


@dataclass(frozen=True, slots=True)
class Core:
    """One logical processor. `siblings` share its execution units (SMT), itself included."""

    index: int
    node: int
    siblings: tuple[int, ...]
    isolated: bool


@dataclass(frozen=True, slots=True)
class Cpu:
    model: str
    features: tuple[str, ...]
    cores: tuple[Core, ...]  # those this process may run on, ascending


def read(root: Path = Path("/"), allowed: frozenset[int] | None = None) -> Cpu:
    """Inventory of the processor.

    `allowed`: the cores that may be used; by default the affinity mask of this process (a container or a
    systemd unit may own fewer cores than the machine has).
    """
    text = (root / "proc/cpuinfo").read_text(errors="replace")
    fields = dict(_field(line) for line in text.splitlines() if ":" in line)
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    names = X86_FEATURES if "flags" in fields else ARM_FEATURES
    usable = frozenset(os.sched_getaffinity(0)) if allowed is None else allowed
    isolated = sysfs.cpu_list(root / "sys/devices/system/cpu/isolated")
    return Cpu(
        model=fields.get("model name", fields.get("CPU part", "unknown")),
        features=tuple(name for flag, name in names.items() if flag in flags),
        cores=tuple(_core(root, index, index in isolated) for index in sorted(usable)),
    )


def worker_cores(cpu: Cpu) -> tuple[int, ...]:
    """Cores that `media.cores = "auto"` gives to workers.

    Isolated cores if the machine sets some aside; else all but the first, which stays with control, SIP
    edge and interrupts; of SMT siblings only one, since two workers on one core's units gain little and
    cost each other's cache. A machine with one core gives that one.
    """
    isolated = [core for core in cpu.cores if core.isolated]
    candidates = isolated or list(cpu.cores[1:]) or list(cpu.cores)
    taken: set[int] = set() if isolated or len(cpu.cores) < 2 else set(cpu.cores[0].siblings)
    chosen = []
    for core in candidates:
        if core.index not in taken:
            chosen.append(core.index)
            taken.update(core.siblings)
    return tuple(chosen) or (candidates[0].index,)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _core(root: Path, index: int, isolated: bool) -> Core:
    folder = root / f"sys/devices/system/cpu/cpu{index}"
    nodes = sorted(int(path.name[4:]) for path in folder.glob("node[0-9]*"))
    siblings = sysfs.cpu_list(folder / "topology/thread_siblings_list") or {index}
    return Core(index, nodes[0] if nodes else 0, tuple(sorted(siblings)), isolated)
