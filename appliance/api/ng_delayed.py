"""Deletes that are to happen later (NG's `delete delay`). They live in this process: after its restart a call whose
delete was pending ends by media silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from appliance.errors import GatewayError

LONGEST_S = 3600
MOST = 100_000

Tags = tuple[str, str, str]  # from-tag, to-tag, via-branch


class DelayedDeletes:
    """`delete(call_id, from_tag, to_tag, via_branch)` is called when the time has come; its errors are nobody's."""

    def __init__(self, delete: Callable[[str, str, str, str], Awaitable[Any]]) -> None:
        self._delete = delete
        self._timers: dict[str, dict[Tags, asyncio.TimerHandle]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, delay_s: float, call_id: str, tags: Tags) -> bool:
        """False: too many are pending, delete at once. The same delete again: its time starts anew."""
        if self._count >= MOST:
            return False
        self._drop(call_id, tags)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(min(delay_s, LONGEST_S), self._due, call_id, tags)
        self._timers.setdefault(call_id, {})[tags] = timer
        self._count += 1
        return True

    def cancel(self, call_id: str) -> None:
        """The call is wanted again (an offer), or gone."""
        for tags in list(self._timers.get(call_id, ())):
            self._drop(call_id, tags)

    def close(self) -> None:
        for call_id in list(self._timers):
            self.cancel(call_id)

    def _due(self, call_id: str, tags: Tags) -> None:
        self._drop(call_id, tags)
        task = asyncio.get_running_loop().create_task(self._carry_out(self._delete(call_id, *tags)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @staticmethod
    async def _carry_out(delete: Awaitable[Any]) -> None:
        try:
            await delete
        except GatewayError:
            return  # it ended meanwhile

    def _drop(self, call_id: str, tags: Tags) -> None:
        pending = self._timers.get(call_id)
        timer = pending.pop(tags, None) if pending else None
        if timer is not None:
            timer.cancel()
            self._count -= 1
        if pending is not None and not pending:
            del self._timers[call_id]
