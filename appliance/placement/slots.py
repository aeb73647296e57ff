"""Numbers of flow and crypto slots of one worker: chosen by the control process, re-used last-freed-last."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from appliance.errors import NoCapacity


class Slot(NamedTuple):
    """A slot number and the how-many-eth use of it: news about an earlier use is told apart by it."""

    number: int
    generation: int


class SlotAllocator:
    """Hands out `capacity` numbers, each to one owner at a time, oldest freed first."""

    def __init__(self, capacity: int, what: str) -> None:
        self.capacity = capacity
        self._what = what
        self._free = OrderedDict.fromkeys(range(capacity))  # a queue from whose middle one can take
        self._generation = [0] * capacity
        self._used = bytearray(capacity)

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def used(self) -> int:
        return self.capacity - len(self._free)

    def take(self) -> int:
        """The next number. NoCapacity."""
        if not self._free:
            raise NoCapacity(f"no {self._what} slot is free")
        number = self._free.popitem(last=False)[0]
        self._claim(number)
        return number

    def adopt(self, number: int) -> None:
        """Mark a number as used that an earlier control process gave away. NoCapacity when it is taken or
        does not exist."""
        if not 0 <= number < self.capacity or self._used[number]:
            raise NoCapacity(f"{self._what} slot {number} cannot be taken over")
        del self._free[number]
        self._claim(number)

    def give_back(self, number: int) -> None:
        """Freeing a free number is our own mistake and does nothing: a number is never in the queue twice."""
        if self._used[number]:
            self._used[number] = 0
            self._free[number] = None

    def in_use(self, number: int) -> bool:
        return bool(self._used[number])

    def current(self, number: int) -> Slot:
        return Slot(number, self._generation[number])

    def is_current(self, slot: Slot) -> bool:
        return bool(self._used[slot.number]) and self._generation[slot.number] == slot.generation

    def _claim(self, number: int) -> None:
        self._used[number] = 1
        self._generation[number] += 1
