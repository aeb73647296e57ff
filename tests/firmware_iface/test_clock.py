"""Cycles a second of a core, as the kernel says it here or there."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_iface.clock import core_hertz

CPUINFO = "processor\t: 0\ncpu MHz\t\t: 2100.000\n\nprocessor\t: 1\nmodel name\t: x\ncpu MHz\t\t: 3500.250\n\n"


def test_of_a_scaling_core(tmp_path: Path) -> None:
    folder = tmp_path / "sys/devices/system/cpu/cpu3/cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_cur_freq").write_text("2400000\n")
    assert core_hertz(3, tmp_path) == 2.4e9


@pytest.mark.parametrize(("core", "hertz"), [(0, 2.1e9), (1, 3.50025e9), (2, None)])
def test_of_a_core_in_cpuinfo(tmp_path: Path, core: int, hertz: float | None) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(CPUINFO)
    assert core_hertz(core, tmp_path) == hertz


def test_nothing_is_known(tmp_path: Path) -> None:
    assert core_hertz(0, tmp_path) is None
