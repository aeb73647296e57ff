"""Calls that nobody answers, calls that fall silent, workers that come and go. Time is the test's."""

from __future__ import annotations

import asyncio

import pytest

from appliance.calls.housekeeping import Housekeeping
from appliance.calls.views import EventKind
from appliance.errors import NoCapacity
from kernels.control.commands import WorkerNews
from kernels.control.status import IceStatus
from tests.appliance.calls.test_service import answer, offer, up
from tests.appliance.rig import OFFER, Rig


class Clock:
    def __init__(self, rig: Rig, silence_s: float = 60, offer_s: float = 300) -> None:
        self.now = 1_000_000.0
        rig.calls.ledger.clock = lambda: self.now
        self.house = Housekeeping(
            rig.calls.ledger, silence_s=lambda: silence_s, offer_s=lambda: offer_s, now_ns=lambda: int(self.now * 1e9)
        )

    def forward(self, seconds: float) -> None:
        self.now += seconds
        self.house.tick()


async def test_unanswered_offers_end() -> None:
    """A14: ports of half-calls come back."""
    rig = Rig()
    clock = Clock(rig)
    await offer(rig, "half")
    clock.forward(299)
    assert len(rig.calls.list(10)) == 1
    clock.forward(2)
    assert rig.calls.list(10) == [] and rig.everything_is_free()


async def test_silent_calls_end_talking_ones_do_not() -> None:
    rig = Rig()
    clock = Clock(rig)
    await up(rig)
    clock.forward(59)
    rig.plane.last_ns = int(clock.now * 1e9)
    clock.forward(59)
    assert len(rig.calls.list(10)) == 1
    watcher = rig.calls.ledger.bus.join()
    clock.forward(2)
    assert rig.calls.list(10) == []
    kinds = [(await watcher.get()).kind for _ in range(2)]  # type: ignore[union-attr]
    assert kinds == [EventKind.SILENT, EventKind.ENDED]


async def test_calls_on_hold_are_not_silent() -> None:
    """F25: nobody may send, so nothing is missing."""
    rig = Rig()
    clock = Clock(rig)
    held = await offer(rig, sdp=OFFER.replace(b"sendrecv", b"inactive"))
    await answer(rig, held)
    clock.forward(3600)
    assert len(rig.calls.list(10)) == 1


@pytest.mark.row("D09", "F25")
@pytest.mark.parametrize(("consent", "over"), [(False, True), (True, False)])
async def test_a_peer_that_is_gone(consent: bool, over: bool) -> None:
    """A closed page consents no longer (RFC 7675); the desk phone goes on talking to nobody."""
    rig = Rig()
    clock = Clock(rig)
    await up(rig)
    slot, *_ = rig.plane.flows(0)
    rig.plane.ices[slot] = IceStatus(True, ("192.0.2.1", 4000), True, int(clock.now * 1e9), consent, (), 3, 1, {})
    for seconds in (59, 2):
        rig.plane.last_ns = int((clock.now + seconds) * 1e9)
        assert len(rig.calls.list(10)) == 1
        watcher = rig.calls.ledger.bus.join()
        clock.forward(seconds)
    assert (rig.calls.list(10) == []) is over
    if over:
        ended = await watcher.get()
        assert ended is not None and (ended.kind, ended.reason) == (EventKind.ENDED, "consent-lost")


async def test_never() -> None:
    rig = Rig()
    clock = Clock(rig, silence_s=0, offer_s=0)
    await up(rig)
    await offer(rig, "half")
    clock.forward(1e6)
    assert len(rig.calls.list(10)) == 2


async def test_lost_worker_gets_no_calls() -> None:
    """F2: its calls stay; new ones go elsewhere until it is back."""
    rig = Rig()
    house = Clock(rig).house
    for index in (0, 1):
        house.worker_news(WorkerNews(index, "lost", 1, 1, "signal SIGKILL"))
    with pytest.raises(NoCapacity, match="no media worker"):
        await offer(rig)
    house.worker_news(WorkerNews(1, "started", 2, 1, ""))
    await offer(rig)
    assert not rig.plane.workers[0].flows
    await asyncio.sleep(0)
