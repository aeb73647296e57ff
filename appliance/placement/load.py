"""How loaded a worker is, from what its counters say now and said a few seconds ago. Pure.

Busy is the share of its core that work took: of CPU time and of time spent in turns that had packets, the smaller. A
port that polls without pause uses all of its core and has room all the same; a worker that shares its core with others
is slow and is not busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SAMPLES = 6  # of one a second: rates are over the last five seconds
STEP = 0.1  # shares within a step count as equal: measured load wobbles, the number of calls does not
MARGIN = 0.03  # how far beyond a step the share must be before the worker changes to it


@dataclass(frozen=True, slots=True)
class Sample:
    """Running totals of one worker at one moment."""

    now_ns: int
    cpu_ns: int  # CPU time
    work_ns: int  # in turns that had packets
    packets: int
    drops: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Over the window. None: cannot be told (no packets, unknown clock)."""

    busy: float = 0.0  # share of the core, 0..1
    packets_per_s: float = 0.0
    drops_per_s: float = 0.0
    cycles_per_packet: float | None = None

    def headroom(self, limit: float) -> float:
        """Share of the core that is left below `limit`."""
        return max(0.0, limit - self.busy)

    def headroom_packets_per_s(self, limit: float) -> float | None:
        """Packets a second more, if they cost what they cost now."""
        if self.busy <= 0 or self.packets_per_s <= 0:
            return None
        return self.headroom(limit) * self.packets_per_s / self.busy


class LoadWindow:
    """The last samples of one worker."""

    def __init__(self, hertz: float | None = None, samples: int = SAMPLES) -> None:
        """hertz: cycles a second of its core."""
        self._hertz = hertz
        self._samples: deque[Sample] = deque(maxlen=samples)
        self.rates = Rates()
        self.rung = 0  # step of STEP that the worker counts as, with hysteresis

    def add(self, sample: Sample) -> Rates:
        """A further sample; totals that went back are another worker's: begin anew."""
        if self._samples and _went_back(self._samples[-1], sample):
            self._samples.clear()
        self._samples.append(sample)
        self.rates = self._rates()
        self.rung = settle(self.rung, self.rates.busy)
        return self.rates

    def _rates(self) -> Rates:
        first, last = self._samples[0], self._samples[-1]
        passed = last.now_ns - first.now_ns
        if passed <= 0:
            return self.rates
        work = min(last.cpu_ns - first.cpu_ns, last.work_ns - first.work_ns)
        packets = last.packets - first.packets
        return Rates(
            busy=min(1.0, work / passed),
            packets_per_s=packets * 1e9 / passed,
            drops_per_s=(last.drops - first.drops) * 1e9 / passed,
            cycles_per_packet=work * self._hertz / 1e9 / packets if packets and self._hertz else None,
        )


def settle(rung: int, busy: float) -> int:
    """The step a share counts as, when it counted as `rung` before."""
    if rung * STEP - MARGIN <= busy < (rung + 1) * STEP + MARGIN:
        return rung
    return int(busy / STEP)


def _went_back(before: Sample, now: Sample) -> bool:
    return (
        now.now_ns < before.now_ns
        or now.cpu_ns < before.cpu_ns
        or now.work_ns < before.work_ns
        or now.packets < before.packets
        or now.drops < before.drops
    )
