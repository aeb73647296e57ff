"""How many entries Kamailio's hash tables have: as of at most a second ago, and what this process has added since."""

from __future__ import annotations

import json
import time

import KSR

STATS = '{"jsonrpc": "2.0", "method": "htable.stats", "id": 1}'
OLD_S = 1.0


class TableSizes:
    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._until = 0.0

    def entries(self, table: str) -> int:
        """0 for one that is not there."""
        now = time.monotonic()
        if now >= self._until:
            KSR.jsonrpcs.execx(STATS)
            found = json.loads(KSR.pv.gete("$jsonrpl(body)")).get("result") or ()
            self._sizes = {one["name"]: int(one["all"]) for one in found}
            self._until = now + OLD_S
        return self._sizes.get(table, 0)

    def added(self, table: str) -> None:
        """One more."""
        self._sizes[table] = self._sizes.get(table, 0) + 1
