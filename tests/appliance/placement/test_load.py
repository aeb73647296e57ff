"""Measured load of a worker: rates over a window, and the step a share counts as."""

from __future__ import annotations

import pytest

from appliance.placement.load import LoadWindow, Rates, Sample, settle

S = 1_000_000_000


def sample(second: int, cpu: float = 0.0, work: float = 0.0, packets: int = 0, drops: int = 0) -> Sample:
    return Sample(second * S, int(cpu * S), int(work * S), packets, drops)


def test_rates_over_the_window() -> None:
    window = LoadWindow(hertz=2e9)
    window.add(sample(0))
    rates = window.add(sample(2, cpu=1.0, work=0.5, packets=100_000, drops=10))
    assert rates == Rates(busy=0.25, packets_per_s=50_000, drops_per_s=5, cycles_per_packet=10_000)
    assert (rates.headroom(0.9), rates.headroom_packets_per_s(0.9)) == (0.65, 130_000)


def test_the_smaller_of_cpu_time_and_work_counts() -> None:
    """A port that polls uses all CPU; a core shared with others makes turns long."""
    polling, starved = LoadWindow(), LoadWindow()
    for second in (0, 1):
        polling.add(sample(second, cpu=second, work=second * 0.3))
        starved.add(sample(second, cpu=second * 0.2, work=second * 0.8))
    assert (polling.rates.busy, starved.rates.busy) == (0.3, 0.2)


def test_the_window_forgets() -> None:
    window = LoadWindow(samples=3)
    for second, work in enumerate((0, 1, 1, 1, 1)):
        window.add(sample(second, cpu=work, work=work))
    assert window.rates.busy == 0.0


def test_nothing_is_told_without_packets() -> None:
    window = LoadWindow(hertz=2e9)
    window.add(sample(0))
    rates = window.add(sample(1))
    assert (rates.cycles_per_packet, rates.headroom_packets_per_s(0.9), rates.headroom(0.9)) == (None, None, 0.9)


def test_another_worker_begins_anew() -> None:
    window = LoadWindow()
    window.add(sample(0, cpu=5, work=5, packets=9))
    window.add(sample(1, cpu=5.5, work=5.5, packets=10))
    window.add(sample(2, cpu=0.1, work=0.1, packets=1))
    assert window.add(sample(3, cpu=0.3, work=0.3, packets=2)).busy == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rung", "busy", "now"),
    [(0, 0.05, 0), (0, 0.12, 0), (0, 0.14, 1), (1, 0.08, 1), (1, 0.06, 0), (1, 0.55, 5), (9, 1.0, 9)],
)
def test_a_step_is_left_only_by_a_margin(rung: int, busy: float, now: int) -> None:
    assert settle(rung, busy) == now
