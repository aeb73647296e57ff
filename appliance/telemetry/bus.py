"""What happens, told to whoever watches. A slow watcher loses its watch, never the gateway its memory."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from appliance.errors import NoCapacity

T = TypeVar("T")

QUEUE = 4096  # events one watcher may lag behind


class Watcher(Generic[T]):
    """One reader's queue. `get` waits for the next event; NoCapacity once it lagged too far, None at the end."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._queue: deque[T] = deque()
        self._news = asyncio.Event()
        self._overflowed = False
        self._closed = False

    def put(self, event: T) -> None:
        if len(self._queue) >= self._bound:
            self._overflowed = True
            self._queue.clear()
        if not self._overflowed:
            self._queue.append(event)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def get(self) -> T | None:
        while True:
            if self._overflowed:
                raise NoCapacity("events came faster than they were read; watch again for a fresh snapshot")
            if self._queue:
                return self._queue.popleft()
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()


class EventBus(Generic[T]):
    """Fan-out to watchers, at most `most` of them."""

    def __init__(self, bound: int = QUEUE, most: int = 64) -> None:
        self._bound, self._most = bound, most
        self._watchers: set[Watcher[T]] = set()

    def __bool__(self) -> bool:
        """Does anybody listen? Views are not made for nobody."""
        return bool(self._watchers)

    def publish(self, event: T) -> None:
        for watcher in self._watchers:
            watcher.put(event)

    def join(self) -> Watcher[T]:
        """NoCapacity."""
        if len(self._watchers) >= self._most:
            raise NoCapacity("too many watchers")
        watcher = Watcher[T](self._bound)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher[T]) -> None:
        self._watchers.discard(watcher)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()
