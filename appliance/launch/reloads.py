"""SIGHUP: work of a moment, done on a thread, one at a time; the last one to ask is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Reloads:
    """`work` gives a line for `say`."""

    def __init__(self, work: Callable[[], str], say: Callable[[str], None]) -> None:
        self._work, self._say = work, say
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wanted(self) -> None:
        """The signal's handler, on the event loop."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="reload")

    async def _run(self) -> None:
        while self._again:
            self._again = False
            self._say(await asyncio.to_thread(self._work))
