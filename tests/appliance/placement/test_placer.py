"""The placer as a table."""

from __future__ import annotations

import pytest

from appliance.errors import InvalidRequest, NoCapacity
from appliance.placement.placer import Load, Need, place

NEED = Need(flows=4, cryptos=2, ports={"default": 4})


def load(
    worker: int, calls: int = 0, busy: float = 0.0, available: bool = True, flows: int = 9, ports: int = 9
) -> Load:
    return Load(worker, available, calls, busy, flows, 9, {"default": ports})


@pytest.mark.parametrize(
    ("loads", "chosen"),
    [
        ([load(0), load(1)], 0),
        ([load(0, calls=2), load(1, calls=1)], 1),
        ([load(0, calls=1, busy=0.5), load(1, calls=9, busy=0.1)], 1),
        ([load(0, calls=9, busy=0.51), load(1, calls=1, busy=0.55)], 1),  # close shares: calls decide
        ([load(0, available=False), load(1, calls=9)], 1),
        ([load(0, flows=3), load(1, calls=9)], 1),
        ([load(0, ports=3), load(1, calls=9)], 1),
    ],
)
def test_least_loaded_with_room(loads: list[Load], chosen: int) -> None:
    assert place(loads, NEED) == chosen


@pytest.mark.parametrize(
    ("loads", "need", "why"),
    [
        ([], NEED, "no media worker is available"),
        ([load(0, available=False)], NEED, "no media worker is available"),
        ([load(0, flows=1)], NEED, "every media worker is full"),
    ],
)
def test_refusals_say_why(loads: list[Load], need: Need, why: str) -> None:
    with pytest.raises(NoCapacity, match=why):
        place(loads, need)


def test_an_unknown_interface_is_the_requests_mistake() -> None:
    with pytest.raises(InvalidRequest, match="no such interface: 'wan'"):
        place([load(0)], Need(1, 0, {"wan": 2}))
