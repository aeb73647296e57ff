"""How fast a core runs: what turns CPU time into cycles."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

_SECTION = re.compile(r"^processor\s*:\s*(\d+)$(.*?)(?=^processor\s*:|\Z)", re.M | re.S)
_MHZ = re.compile(r"^cpu MHz\s*:\s*([\d.]+)$", re.M)


def core_hertz(core: int, root: Path = Path("/")) -> float | None:
    """Cycles a second of a core now; None where the kernel does not say."""
    with contextlib.suppress(OSError, ValueError):
        path = root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"
        return float(path.read_text()) * 1e3
    with contextlib.suppress(OSError):
        for section in _SECTION.finditer((root / "proc/cpuinfo").read_text(errors="replace")):
            found = _MHZ.search(section[2])
            if int(section[1]) == core and found:
                return float(found[1]) * 1e6
    return None
