"""Datagrams and commands on their way down: nothing overtakes, nothing piles up, one waking for a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from appliance.calls.media import Address
from appliance.placement.dispatcher import Dispatcher
from appliance.placement.injector import MOST_WAITING, RETRY_S, Injector
from kernels.control.commands import RemoveFlow
from kernels.control.errors import RingFull
from tests.appliance.fake_plane import FakePlane

TO = Address("127.0.0.1", 9)


class Plane:
    """An inject ring with so much room."""

    def __init__(self, room: int) -> None:
        self.room, self.sent, self.woken = room, [], []  # type: ignore[var-annotated]

    def inject(self, worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None:
        assert not wake
        if to[0] == "nowhere":
            raise ValueError("no address")
        if len(self.sent) >= self.room:
            raise RingFull("full")
        self.sent.append(data)

    def wake(self, worker: int) -> None:
        self.woken.append(worker)


def names(numbers: Sequence[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]


async def test_one_waking_for_all_of_a_turn() -> None:
    plane = Plane(100)
    injector = Injector(plane)
    for name in names(range(10)):
        injector.inject(1, 7, name, TO)
    injector.inject(0, 7, b"x", TO)
    assert plane.woken == []
    await asyncio.sleep(0)
    assert plane.sent == [*names(range(10)), b"x"] and sorted(plane.woken) == [0, 1]
    await asyncio.sleep(0)
    assert len(plane.woken) == 2


async def test_a_full_ring_keeps_the_order() -> None:
    plane = Plane(3)
    injector = Injector(plane)
    for name in names(range(6)):
        injector.inject(0, 7, name, TO)
    assert plane.sent == names(range(3))
    plane.room = 100
    injector.inject(0, 7, b"6", TO)  # there would be room: it does not overtake
    assert plane.sent == names(range(3))
    for _ in range(500):
        if len(plane.sent) < 7:
            await asyncio.sleep(RETRY_S)
    assert plane.sent == names(range(7)) and injector.lost == 0


async def test_what_waits_is_bounded_and_the_unsendable_is_lost() -> None:
    plane = Plane(0)
    injector = Injector(plane)
    for name in names(range(MOST_WAITING + 5)):
        injector.inject(0, 7, name, TO)
    assert injector.lost == 5
    other = Injector(Plane(10))
    other.inject(0, 7, b"x", Address("nowhere", 1))
    other.inject(0, 7, b"y", TO)
    assert other.lost == 1


async def test_a_batch_of_commands_wakes_its_worker_once() -> None:
    plane = FakePlane()
    woken: list[int] = []
    plane.wake = woken.append  # type: ignore[method-assign]
    dispatcher = Dispatcher(plane)
    dispatcher.send(1, [RemoveFlow(slot) for slot in range(5)])
    dispatcher.send(1, [RemoveFlow(9)])
    await asyncio.sleep(0)
    assert woken == [1]


async def test_commands_do_not_overtake_what_waits_for_room() -> None:
    """The ring of datagrams is full, that of commands is not. Other workers are not held up by it."""
    plane, commands = Plane(2), FakePlane()
    injector, dispatcher = Injector(plane), Dispatcher(commands)
    dispatcher.held = injector.waits
    for name in names(range(3)):
        injector.inject(0, 7, name, TO)
    dispatcher.send(0, [RemoveFlow(7)])
    dispatcher.send(1, [RemoveFlow(8)])
    dispatcher.pump()
    assert commands.workers[0].log == [] and commands.workers[1].log == [RemoveFlow(8)]
    plane.room = 3
    for _ in range(500):
        if not commands.workers[0].log:
            await asyncio.sleep(RETRY_S)
    assert plane.sent == names(range(3)) and commands.workers[0].log == [RemoveFlow(7)]


async def test_a_worker_that_is_stuck_holds_up_no_other() -> None:
    class Stuck(Plane):
        def inject(self, worker: int, flow: int, data: bytes, to: tuple[str, int], *, wake: bool = True) -> None:
            if worker == 0:
                raise RingFull("full")
            super().inject(worker, flow, data, to, wake=wake)

    plane = Stuck(10)
    injector = Injector(plane)
    injector.inject(0, 7, b"stuck", TO)
    injector.inject(1, 7, b"goes", TO)
    assert plane.sent == [b"goes"] and injector.waits(0) and not injector.waits(1)


def test_without_a_loop_it_wakes_at_once() -> None:
    """A control process that adopts calls before it serves."""
    plane = Plane(10)
    Injector(plane).inject(3, 7, b"x", TO)
    assert plane.woken == [3]
