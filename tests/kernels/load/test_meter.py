"""The meter of the engine: it measures what it says, with any suite, payload and back end; no figure is asserted."""

from __future__ import annotations

import pytest

from kernels.cipher import select
from kernels.load.meter import core_ghz, measure
from tests.kernels.srtp.suites import CM, SUITES


@pytest.mark.parametrize("name", SUITES)
def test_every_suite(name: str) -> None:
    """Every packet is sealed and opened again, or it raises."""
    assert all(cost > 0 for cost in measure(SUITES[name], 3, 160, 2048))


@pytest.mark.parametrize(("contexts", "payload"), [(1, 0), (64, 1200), (1500, 160), (1, 1988)])
def test_contexts_and_payloads(contexts: int, payload: int) -> None:
    assert all(cost > 0 for cost in measure(CM, contexts, payload, 1))


def test_back_end_is_chosen_for_the_measurement_only() -> None:
    before = select.selected()
    for name in select.names():
        assert all(cost > 0 for cost in measure(CM, 2, 160, 1024, backend=name))
        assert select.selected() == before


def test_misuse() -> None:
    for contexts, payload, backend in [(0, 160, None), (1, 1989, None), (1, 160, "rot13")]:
        with pytest.raises(ValueError, match=r".+"):
            measure(CM, contexts, payload, 1, backend=backend)


def test_core_clock_is_a_clock() -> None:
    """Of a CPU of this century: 0.2 to 10 GHz. A wrong chain (folded, or memory in it) would be far outside."""
    assert 0.2 < core_ghz() < 10
