"""What was answered to which NG cookie: a request that comes again is not carried out again (NG protocol, "cookie").

A client repeats a request when the answer is late or lost. While the first is still in progress the repetition is
dropped (its answer is on the way), afterwards the stored answer is sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

Key = tuple[str, bytes]  # host of the client, cookie


@dataclass(slots=True)
class Entry:
    born: float
    digest: int  # of the whole request: another request under an old cookie is a new one
    answer: bytes | None = None  # None: in progress
    waiting: list[Callable[[bytes], None]] = field(default_factory=list)  # others who want the answer too


class CookieCache:
    """Bounded in number and age. `now` is CLOCK_MONOTONIC in seconds."""

    def __init__(self, most: int = 16384, age_s: float = 30.0) -> None:
        self._most, self._age_s = most, age_s
        self._entries: OrderedDict[Key, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, key: Key, request: bytes, now: float) -> Entry | None:
        """None: new, and noted as in progress. Else what is known of it."""
        self._expire(now)
        entry, digest = self._entries.get(key), hash(request)
        if entry is not None and entry.digest == digest:
            return entry
        self._entries[key] = Entry(now, digest)
        self._entries.move_to_end(key)
        return None

    def finish(self, key: Key, answer: bytes) -> None:
        entry = self._entries.get(key)
        if entry is not None:
            entry.answer = answer
            for waiting in entry.waiting:
                waiting(answer)
            entry.waiting.clear()

    def forget(self, key: Key) -> None:
        """The request got no answer; a repetition may try again."""
        self._entries.pop(key, None)

    def _expire(self, now: float) -> None:
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if len(self._entries) < self._most and entry.born + self._age_s > now:
                return
            del self._entries[key]
