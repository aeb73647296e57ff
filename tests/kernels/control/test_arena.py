"""Size and layout of the arena."""

from __future__ import annotations

import os

import pytest

from kernels.control.arena import PER_CALL, Arena, LayoutMismatch, footprint, structs
from tests.kernels.rig import LocalPlane


def test_octets_per_call() -> None:
    """Issue 2: at most 16 KiB of arena per call (4 flows, 5 cryptos, 6 keys, 9 SSRCs). It is 14,260 now, 2,048 of them
    for ICE agents, 1,024 for streams that share a port, 256 for reports, 256 to 512 for next hops."""
    per_call = (footprint(1, 6000, 64) - footprint(1, 1000, 64)) / 5000
    assert PER_CALL == {"flows": 4, "cryptos": 5, "keys": 6, "streams": 9}
    assert per_call <= 14_350


def test_two_workers_need_twice_the_room_and_what_joins_them() -> None:
    """Hand-off: a ring of 64 datagrams for each ordered pair; 32 records for moves; one worker needs none."""
    rings = 4 * (64 * 2048 + 192)
    transfers = 32 * structs()["Transfer"]
    assert abs(footprint(2, 100, 64) - 2 * footprint(1, 100, 64) - rings - transfers) <= 8192


def test_most_workers_are_what_a_home_can_name() -> None:
    plane = LocalPlane()
    with pytest.raises(ValueError, match="128 workers, at most 127"):
        plane.arena.format(128, 8, 16)


def test_another_layout_is_refused_by_name() -> None:
    plane = LocalPlane()
    plane.arena.check()
    for index, name in enumerate(structs()):
        with_other = os.memfd_create("copy")
        os.write(with_other, plane.arena.mapping[:])
        os.pwrite(with_other, b"\xff", 8 + 4 * index)
        with pytest.raises(LayoutMismatch, match=name):
            Arena(with_other).check()
        os.close(with_other)


@pytest.mark.parametrize("place", [0, 4])
def test_another_version_is_refused(place: int) -> None:
    plane = LocalPlane()
    os.pwrite(plane.fd, b"\x77", place)
    with pytest.raises(LayoutMismatch, match="layout version"):
        plane.arena.check()


def test_truncated_arena_is_refused() -> None:
    fd = os.memfd_create("short")
    os.ftruncate(fd, 100)
    with pytest.raises(LayoutMismatch):
        Arena(fd)
    plane = LocalPlane()
    os.write(fd, plane.arena.mapping[:-4096])
    with pytest.raises(LayoutMismatch, match="octets"):
        Arena(fd).check()


def test_wipe_leaves_nothing() -> None:
    plane = LocalPlane()
    plane.arena.wipe()
    assert plane.arena.mapping[:].count(0) == plane.arena.octets
