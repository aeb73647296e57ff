"""firmware_iface.cpu on made-up machines (folders) and on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_iface import cpu


def machine(
    root: Path, *, cores: int, threads_per_core: int = 1, isolated: str = "", flags: str = "fpu aes vaes"
) -> Path:
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: {flags}\n")
    base = root / "sys/devices/system/cpu"
    for index in range(cores):
        folder = base / f"cpu{index}/topology"
        folder.mkdir(parents=True)
        first = index - index % threads_per_core
        (folder / "thread_siblings_list").write_text(f"{first}-{first + threads_per_core - 1}\n")
        (base / f"cpu{index}/node{index // 4}").mkdir()
    (base / "isolated").write_text(isolated + "\n")
    return root


@pytest.mark.parametrize(
    ("cores", "threads", "isolated", "expected"),
    [
        (1, 1, "", (0,)),
        (2, 1, "", (1,)),
        (4, 1, "", (1, 2, 3)),
        (8, 2, "", (2, 4, 6)),  # core 0 and its sibling stay with control
        (8, 1, "4-6", (4, 5, 6)),
        (2, 2, "", (1,)),  # nothing but the sibling is left: better shared than none
    ],
)
def test_worker_cores(tmp_path: Path, cores: int, threads: int, isolated: str, expected: tuple[int, ...]) -> None:
    root = machine(tmp_path, cores=cores, threads_per_core=threads, isolated=isolated)
    assert cpu.worker_cores(cpu.read(root, frozenset(range(cores)))) == expected


def test_features_and_nodes(tmp_path: Path) -> None:
    found = cpu.read(machine(tmp_path, cores=8), frozenset({1, 5}))
    assert found.features == ("AES-NI", "VAES")
    assert [(core.index, core.node) for core in found.cores] == [(1, 0), (5, 1)]


def test_this_machine() -> None:
    found = cpu.read()
    assert found.cores
    assert set(cpu.worker_cores(found)) <= {core.index for core in found.cores}
