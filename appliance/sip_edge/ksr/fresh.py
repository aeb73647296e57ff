"""The routing table, read again when its file is another one (`appliance.sip_edge.reloading` replaces it)."""

from __future__ import annotations

import time
from pathlib import Path

from appliance.sip_edge.ksr import routing, say
from appliance.sip_edge.ksr.routing import RoutingTable

EVERY_S = 1.0


class FreshTable:
    """One Kamailio process' view. A file that is no table is told and passed over."""

    def __init__(self, file: Path) -> None:
        self._file, self._due = file, 0.0
        self._seen = self._stamp()
        self._table = routing.load(file.read_text())

    def now(self) -> RoutingTable:
        """As it was a second ago at the latest."""
        clock = time.monotonic()
        if clock >= self._due:
            self._due = clock + EVERY_S
            self._look()
        return self._table

    def _look(self) -> None:
        stamp = self._stamp()
        if stamp in (self._seen, None):
            return
        self._seen = stamp
        try:
            self._table = routing.load(self._file.read_text())
        except (OSError, ValueError, KeyError, TypeError) as error:
            say.count("table_unreadable")
            say.event("table_unreadable", error=type(error).__name__)

    def _stamp(self) -> tuple[int, int] | None:
        """None: it is not there."""
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
