"""SIGHUPs that come while one is being served (row P12)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from appliance.reloads import Reloads

pytestmark = pytest.mark.row("P12")


async def test_the_last_one_is_served() -> None:
    """One at a time, however many came meanwhile; what was written before the last signal is read."""
    written, read, going, go = [0], list[int](), threading.Semaphore(0), threading.Semaphore(0)

    def work() -> int:
        found = written[0]
        going.release()
        go.acquire()
        return found

    reloads = Reloads(work, read.append)
    reloads.wanted()
    await asyncio.to_thread(going.acquire)
    for value in (1, 2, 3):
        written[0] = value
        reloads.wanted()
    go.release()
    await asyncio.to_thread(going.acquire)
    go.release()
    while len(read) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert read == [0, 3]
    reloads.wanted()
    await asyncio.to_thread(going.acquire)
    go.release()
    while len(read) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
