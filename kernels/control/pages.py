"""Huge pages behind the arena: ask for them, and say afterwards which there are."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from kernels.control.mapping import Mapping

HUGE = 2 << 20
RESERVED, TRANSPARENT, NONE = "2 MiB reserved", "transparent", "none"


def memory_file(name: str, octets: int, seals: int) -> int:
    """A sealed memory file of at least `octets` octets, whole 2-MiB pages; from the machine's pool when that has
    enough, else of ordinary memory. Its descriptor."""
    octets = -(-octets // HUGE) * HUGE
    for flags in (os.MFD_HUGETLB | os.MFD_HUGE_2MB, 0):
        try:
            return _made(name, octets, flags, seals)
        except OSError:
            if not flags:
                raise
    raise AssertionError("unreachable")


def huge_pages(mapping: Mapping) -> str:
    """What the kernel says of a touched mapping: RESERVED, TRANSPARENT (all of it, else how much) or NONE."""
    return of_smaps(Path("/proc/self/smaps").read_text(), mapping.address, mapping.octets)


def of_smaps(text: str, address: int, octets: int) -> str:
    """The same from the text of /proc/PID/smaps (proc(5))."""
    start = re.search(rf"^0*{address:x}-", text, re.M)
    if start is None:
        return NONE
    entry = text[start.start() :].split("VmFlags", 1)[0]
    size = {key: int(kib) << 10 for key, kib in re.findall(r"^(\w+):\s+(\d+) kB$", entry, re.M)}
    if size.get("KernelPageSize", 0) >= HUGE:
        return RESERVED
    large = size.get("ShmemPmdMapped", 0)
    if large >= octets // HUGE * HUGE > 0:
        return TRANSPARENT
    return f"{TRANSPARENT}, {large >> 20} of {octets >> 20} MiB" if large else NONE


def _made(name: str, octets: int, flags: int, seals: int) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | flags)
    try:
        os.ftruncate(fd, octets)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        if flags:
            Mapping(fd)  # the pool is asked here; what it grants stays the file's
    except OSError:
        os.close(fd)
        raise
    return fd
