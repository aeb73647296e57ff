"""Workers are woken once for all that a turn of the event loop hands down: on a core that they share with us each
waking is two switches."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol


class Wakes(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def wake(self, worker: int) -> None: ...


class Doorbells:
    """Wakes at the end of the turn; without a running loop at once."""

    def __init__(self, plane: Wakes) -> None:
        self._plane = plane
        self._due: set[int] = set()

    def ring(self, worker: int) -> None:
        """Something waits in the rings of this worker."""
        if not self._due:
            try:
                asyncio.get_running_loop().call_soon(self._flush)
            except RuntimeError:
                self._plane.wake(worker)
                return
        self._due.add(worker)

    def _flush(self) -> None:
        due, self._due = self._due, set()
        for worker in due:
            with contextlib.suppress(OSError):
                self._plane.wake(worker)
