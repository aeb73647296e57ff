"""SIGHUP: files are read on a thread, one reload at a time; who asks while one is under way is served by one more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Reloads(Generic[T]):
    """`work` runs on a thread and raises nothing; what it gives goes to `then`, on the event loop."""

    def __init__(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        self._work, self._then = work, then
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wanted(self) -> None:
        """The signal's handler, on the event loop."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="reload")

    async def _run(self) -> None:
        while self._again:
            self._again = False
            self._then(await asyncio.to_thread(self._work))
