"""The replay window (A04, SR-4)."""

from __future__ import annotations

import random

import pytest

from appliance.protocols.srtp.replay import ReplayWindow


@pytest.mark.parametrize("size", [64, 128, 1024])
def test_every_index_passes_once_within_the_window(size: int) -> None:
    """A04: twice is never; late by window - 1 passes; late by window does not."""
    window = ReplayWindow(size)
    window.commit(5000)
    assert not window.fresh(5000)
    assert window.fresh(5000 - size + 1) and not window.behind(5000 - size + 1)
    assert window.behind(5000 - size)
    assert window.fresh(5001) and not window.behind(5001)


def test_asking_changes_nothing() -> None:
    window = ReplayWindow(64)
    assert window.fresh(7) and window.fresh(7) and not window.behind(7)
    assert window.newest is None


def test_shuffled_traffic_passes_exactly_once() -> None:
    generator = random.Random(1)
    order = [base + offset for base in range(0, 2000, 32) for offset in generator.sample(range(32), 32)]
    window, passed = ReplayWindow(64), []
    for index in [value for value in order for _ in range(2)]:
        if not window.behind(index) and window.fresh(index):
            window.commit(index)
            passed.append(index)
    assert passed == order
