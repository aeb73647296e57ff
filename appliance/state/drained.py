"""Which workers are wanted empty: desired state of the operator, kept over restarts of the control process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path


class DrainedWorkers:
    """A set of worker numbers in a file; without a path in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._workers = self._read()

    def __contains__(self, worker: int) -> bool:
        return worker in self._workers

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._workers))

    def set(self, worker: int, drained: bool) -> None:
        """OSError when it cannot be kept; then nothing changed."""
        wanted = self._workers | {worker} if drained else self._workers - {worker}
        if wanted != self._workers:
            self._write(wanted)
            self._workers = wanted

    def _read(self) -> frozenset[int]:
        """A file that cannot be read says nothing."""
        try:
            found = json.loads(self._path.read_text()) if self._path else []
            return frozenset(int(worker) for worker in found)
        except (OSError, ValueError, TypeError):
            return frozenset()

    def _write(self, workers: frozenset[int]) -> None:
        if self._path is None:
            return
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(sorted(workers), file)
        fresh.replace(self._path)
