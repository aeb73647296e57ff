"""Slot numbers: one owner at a time, oldest freed first, uses told apart by generation."""

from __future__ import annotations

import pytest

from appliance.errors import NoCapacity
from appliance.placement.slots import SlotAllocator


def test_oldest_freed_first() -> None:
    slots = SlotAllocator(3, "flow")
    assert [slots.take() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(NoCapacity):
        slots.take()
    slots.give_back(1)
    slots.give_back(0)
    slots.give_back(1)  # twice is our mistake and does nothing
    assert [slots.take(), slots.take()] == [1, 0] and slots.free == 0


def test_generations() -> None:
    slots = SlotAllocator(1, "flow")
    first = slots.current(slots.take())
    assert slots.is_current(first)
    slots.give_back(0)
    assert not slots.is_current(first)
    slots.take()
    assert not slots.is_current(first) and slots.is_current(slots.current(0))


def test_adoption() -> None:
    slots = SlotAllocator(3, "crypto")
    slots.adopt(0)
    assert slots.take() == 1
    for wrong in (0, 3, -1):
        with pytest.raises(NoCapacity):
            slots.adopt(wrong)
