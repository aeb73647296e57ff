"""Workers are woken once for all that a turn of the event loop hands down: on a core that they share with us each
waking is two switches."""

from __future__ import annotations

import contextlib
from typing import Protocol

from appliance.turn import Turn


class Wakes(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def wake(self, worker: int) -> None: ...


class Doorbells:
    """Wakes at the end of the turn; without a running loop at once."""

    def __init__(self, plane: Wakes, turn: Turn | None = None) -> None:
        self._plane, self._turn = plane, turn or Turn()
        self._due: set[int] = set()

    def ring(self, worker: int) -> None:
        """Something waits in the rings of this worker."""
        self._due.add(worker)
        if not self._turn.at_end(self._flush):
            self._flush()

    def _flush(self) -> None:
        due, self._due = self._due, set()
        for worker in due:
            with contextlib.suppress(OSError):
                self._plane.wake(worker)
