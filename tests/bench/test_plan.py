"""The plan: eleven minutes by construction, whatever back ends this build gets."""

from __future__ import annotations

import dataclasses

import pytest

from tests.bench.plan import QUICK, TABLES, Plan


@pytest.mark.parametrize("ports", [1, 2, 4])
@pytest.mark.parametrize("backends", [1, 3])
def test_fits_eleven_minutes(ports: int, backends: int) -> None:
    seconds = Plan().seconds(ports, backends)
    assert sum(seconds.values()) < 660, seconds


def test_quick_is_quick() -> None:
    assert sum(QUICK.seconds(4, 3).values()) < 120


def test_only_what_is_wanted_takes_time() -> None:
    assert set(dataclasses.replace(Plan(), tables=("crypto",)).seconds(4, 3)) == {"crypto"}
    assert set(dataclasses.replace(Plan(), tables=("latency",)).seconds(4, 3)) == {"gateway", "latency"}
    assert set(Plan().seconds(4, 3)) == set(TABLES)
