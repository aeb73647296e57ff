"""Memory that matters to the media plane: huge pages per node, what may be locked, the transparent huge page policy."""

from __future__ import annotations

import re
import resource
from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs


@dataclass(frozen=True, slots=True)
class HugePages:
    """A pool of huge pages of one size on one NUMA node."""

    node: int
    size_kib: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Memory:
    total_kib: int = 0
    available_kib: int = 0
    huge_pages: tuple[HugePages, ...] = ()
    transparent: str = ""  # always, madvise, never
    lock_limit_octets: int | None = None  # RLIMIT_MEMLOCK of this process; None: no limit

    def free_huge_kib(self, size_kib: int) -> int:
        return sum(pool.free * pool.size_kib for pool in self.huge_pages if pool.size_kib == size_kib)


def read(root: Path = Path("/"), lock_limit: int | None = None) -> Memory:
    """`lock_limit`: for machines that are folders; by default that of this process."""
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", sysfs.text(root / "proc/meminfo"), re.MULTILINE))
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] if lock_limit is None else lock_limit
    return Memory(
        total_kib=int(fields.get("MemTotal", 0)),
        available_kib=int(fields.get("MemAvailable", 0)),
        huge_pages=_pools(root),
        transparent=sysfs.chosen(root / "sys/kernel/mm/transparent_hugepage/enabled"),
        lock_limit_octets=None if limit == resource.RLIM_INFINITY else limit,
    )


def _pools(root: Path) -> tuple[HugePages, ...]:
    nodes = sorted((root / "sys/devices/system/node").glob("node[0-9]*"), key=lambda path: int(path.name[4:]))
    folders = [(int(path.name[4:]), path / "hugepages") for path in nodes]
    found = []
    for node, folder in folders or [(0, root / "sys/kernel/mm/hugepages")]:
        for pool in sorted(folder.glob("hugepages-*kB")):
            size = int(pool.name.removeprefix("hugepages-").removesuffix("kB"))
            total, free = sysfs.number(pool / "nr_hugepages"), sysfs.number(pool / "free_hugepages")
            found.append(HugePages(node, size, total, free))
    return tuple(found)
