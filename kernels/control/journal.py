"""The holder's log: one JSON object per line on standard error. No threads, no buffers, no keys."""

from __future__ import annotations

import json
import sys
import time

LEVELS = ("debug", "info", "warning", "error")


class Journal:
    """Writes events at or above a level."""

    def __init__(self, level: str) -> None:
        self._least = LEVELS.index(level)

    def write(self, level: str, event: str, **facts: object) -> None:
        """One line; a standard error that is gone is no reason to stop."""
        if LEVELS.index(level) < self._least:
            return
        line = {"time": round(time.time(), 3), "level": level, "part": "media-holder", "event": event, **facts}
        try:
            sys.stderr.write(json.dumps(line) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass
