"""How undisturbed cores are: what the kernel keeps away from them, and what slows them down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_iface import sysfs


@dataclass(frozen=True, slots=True)
class Isolation:
    isolated: tuple[int, ...] = ()  # isolcpus=: the scheduler puts nothing there by itself
    tickless: tuple[int, ...] = ()  # nohz_full=: no timer tick while one task runs
    rcu_offloaded: tuple[int, ...] = ()  # rcu_nocbs= (nohz_full implies it)
    smt: bool = False  # sibling threads are on
    governors: tuple[tuple[int, str], ...] = ()  # core -> cpufreq governor, where there is one
    clocksource: str = ""
    irqbalance: bool = False  # the daemon runs
    command_line: str = ""

    def governor(self, core: int) -> str:
        return dict(self.governors).get(core, "")


def read(root: Path = Path("/")) -> Isolation:
    cpus = root / "sys/devices/system/cpu"
    command_line = sysfs.text(root / "proc/cmdline")
    words = dict(word.partition("=")[::2] for word in command_line.split())
    governors = {int(path.parts[-3][3:]): sysfs.text(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    tickless = sysfs.cpu_list(cpus / "nohz_full")
    return Isolation(
        isolated=tuple(sorted(sysfs.cpu_list(cpus / "isolated"))),
        tickless=tuple(sorted(tickless)),
        rcu_offloaded=tuple(sorted(sysfs.parse_list(words.get("rcu_nocbs", "")) | tickless)),
        smt=sysfs.text(cpus / "smt/active") == "1",
        governors=tuple(sorted(governors.items())),
        clocksource=sysfs.text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        irqbalance=(root / "run/irqbalance").is_dir(),
        command_line=command_line,
    )
