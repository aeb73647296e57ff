"""One timer for all who wait for a worker: nearly always it answers, and a timer for each operation is dear."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Waits(Protocol):
    """Who waits."""

    @property
    def over(self) -> bool:
        """Nobody waits any more."""

    def expire(self) -> None: ...


class Deadlines:
    """In the order in which waiting began: all wait equally long. A shorter wait behind a longer one ends with it."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, Waits]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, one: Waits, seconds: float) -> None:
        """`expire` is called after so long if it is not over by then."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + seconds, one))
        if self._timer is None:
            self._timer = loop.call_at(self._waiting[0][0], self._due, loop)

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiting and (self._waiting[0][1].over or self._waiting[0][0] <= now):
            one = self._waiting.popleft()[1]
            if not one.over:
                one.expire()
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][0], self._due, loop)
