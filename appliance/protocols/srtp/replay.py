"""The replay list of one direction of one SSRC (RFC 3711 section 3.3.2)."""

from __future__ import annotations


class ReplayWindow:
    """Which of the newest `size` indexes were seen. `fresh` and `behind` only read; `commit` is the only writer."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.newest: int | None = None  # highest index committed
        self._seen: set[int] = set()

    def behind(self, index: int) -> bool:
        """True when the index is older than the window can tell, or before the first one there is."""
        return index < 0 or (self.newest is not None and self.newest - index >= self.size)

    def fresh(self, index: int) -> bool:
        """True when the index was not committed before (ask `behind` first)."""
        return index not in self._seen

    def commit(self, index: int) -> None:
        """Record an index that was authenticated."""
        self._seen.add(index)
        self.newest = index if self.newest is None else max(self.newest, index)
        self._seen = {seen for seen in self._seen if not self.behind(seen)}
