"""One timer for all that wait, on the clock of the event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from appliance.placement.deadlines import Deadlines


@dataclass
class Waiter:
    over: bool = False
    expired: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def expire(self) -> None:
        self.expired += 1
        self.over = True
        self.told.set()


async def test_only_who_still_waits_expires_and_once() -> None:
    """F2: a worker that does not answer is told of; those it has answered meanwhile are left alone."""
    deadlines = Deadlines()
    waiters = [Waiter() for _ in range(6)]
    for waiter in waiters[:4]:
        deadlines.add(waiter, 0.01)
    waiters[0].over = waiters[2].over = True
    await waiters[3].told.wait()
    deadlines.add(waiters[4], 0.01)  # a timer of its own: the one before has rung
    deadlines.add(waiters[5], 30.0)
    await waiters[4].told.wait()
    await asyncio.sleep(0.02)
    assert [waiter.expired for waiter in waiters] == [0, 1, 0, 1, 1, 0]
