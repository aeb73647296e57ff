"""Large pages behind the arena: what is asked for, and that what is said is what the kernel says."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path

import pytest

from kernels.control.arena import Arena, footprint
from kernels.control.mapping import Mapping
from kernels.control.pages import HUGE, NONE, RESERVED, TRANSPARENT, huge_pages, memory_file, of_smaps

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def smaps(page: int, large: int) -> str:
    return (
        "7f0000000000-7f0000600000 rw-s 00000000 00:01 1 /memfd:srtpgw-arena (deleted)\nSize: 6144 kB\n"
        f"KernelPageSize: {page} kB\nRss:   6144 kB\nShmemPmdMapped:   {large} kB\nVmFlags: rd wr sh\n"
        "7f0000600000-7f0000800000 rw-p 00000000 00:00 0\nKernelPageSize: 2048 kB\nShmemPmdMapped: 2048 kB\nVmFlags:\n"
    )


@pytest.mark.parametrize(
    ("page", "large", "said"),
    [(2048, 0, RESERVED), (4, 6144, TRANSPARENT), (4, 2048, f"{TRANSPARENT}, 2 of 6 MiB"), (4, 0, NONE)],
)
def test_what_the_kernel_says_is_what_we_say(page: int, large: int, said: str) -> None:
    assert of_smaps(smaps(page, large), 0x7F0000000000, 3 * HUGE) == said


def test_a_neighbour_does_not_speak_for_us() -> None:
    assert of_smaps(smaps(4, 0), 0x7F0000000000, 3 * HUGE) == NONE
    assert of_smaps(smaps(4, 0), 0x7E0000000000, HUGE) == NONE


def test_memory_file_is_whole_pages_and_sealed() -> None:
    fd = memory_file("test-arena", 3 * HUGE - 5, SEALS)
    assert os.fstat(fd).st_size == 3 * HUGE
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & SEALS == SEALS
    for size in (HUGE, 4 * HUGE):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    os.close(fd)


def test_mapping_begins_where_a_large_page_can() -> None:
    fd = os.memfd_create("test-arena")
    os.ftruncate(fd, HUGE + 4096)
    one, two = Mapping(fd), Mapping(fd)
    assert one.address % HUGE == two.address % HUGE == 0
    assert one.address != two.address
    memoryview(one)[HUGE : HUGE + 3] = b"abc"
    assert two[HUGE : HUGE + 4] == b"abc\0"
    assert (two[HUGE], len(two), two.octets) == (97, HUGE + 4096, HUGE + 4096)
    with mmap.mmap(fd, 0) as plain:
        assert plain[HUGE : HUGE + 3] == b"abc"
    os.close(fd)


def test_mapping_outlives_its_descriptor_and_lives_with_its_views() -> None:
    fd = memory_file("test-arena", HUGE, SEALS)
    view = memoryview(Mapping(fd))
    os.close(fd)
    view[:2] = b"ok"
    assert bytes(view[:3]) == b"ok\0"


def test_mapping_of_nothing() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Mapping(os.open("/", os.O_PATH) + 1000)


def test_arena_in_large_pages_stays_locked_sealed_and_undumped() -> None:
    """H4 with large pages: nothing of it is given up for speed."""
    fd = memory_file("test-arena", footprint(1, 500, 64), SEALS)
    arena = Arena(fd)
    arena.format(1, 500, 64)
    assert arena.protect() == ""
    assert huge_pages(arena.mapping).startswith((RESERVED, TRANSPARENT))
    flags = vm_flags(arena.mapping.address)
    assert {"lo", "dd", "sh"} <= flags
    other = Arena(fd)
    other.check()
    assert other.capacities() == arena.capacities()
    os.close(fd)


def vm_flags(address: int) -> set[str]:
    entry = Path("/proc/self/smaps").read_text().split(f"{address:x}-", 1)[1]
    return set(entry.split("VmFlags:", 1)[1].split("\n", 1)[0].split())
