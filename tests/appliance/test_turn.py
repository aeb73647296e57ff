"""What is put off to the end of a turn, and work that is a turn of its own: an NG request that needs no waiting is
answered within it, one that does is answered later, and neither before its records are written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import bencodepy
import pytest

from appliance.api.ng_commands import NgCommands
from appliance.api.ng_requests import NgRequests
from appliance.api.ng_rules import NgRules
from appliance.policy.options import MediaOptions
from appliance.state.store import CallStore
from appliance.state.vault import Vault
from appliance.turn import Turn
from kernels.control.commands import Punt
from tests.appliance.fake_plane import FakePlane
from tests.appliance.rig import OFFER, Rig


async def test_what_is_put_off_is_done_once_in_order_at_the_end() -> None:
    turn, done = Turn(), list[str]()
    first, second = (lambda: done.append("first")), (lambda: done.append("second"))
    assert turn.at_end(first) and turn.at_end(second) and turn.at_end(first)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["first", "second"]
    assert turn.at_end(second)
    await asyncio.sleep(0)
    assert done == ["first", "second", "second"]


async def test_what_fails_keeps_nothing_else_from_being_done() -> None:
    turn, done = Turn(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: done.append(type(context["exception"])))
    for what in (lambda: 1 / 0, lambda: done.append("second")):
        assert turn.at_end(what)
    await asyncio.sleep(0)
    assert done == [ZeroDivisionError, "second"]


def test_without_an_event_loop_the_caller_is_told() -> None:
    assert not Turn().at_end(lambda: None)


async def test_work_that_never_waits_leaves_no_task_and_ends_its_turn() -> None:
    turn, done = Turn(), list[str]()

    async def work() -> None:
        turn.at_end(lambda: done.append("end"))
        done.append("work")

    assert turn.begin(work()) is None
    assert done == ["work", "end"] and not turn.alone


async def test_work_that_waits_goes_on_as_a_task() -> None:
    turn, done = Turn(), list[object]()
    answer = asyncio.get_running_loop().create_future()

    async def work() -> None:
        turn.at_end(lambda: done.append("end"))
        try:
            await answer
        except KeyError as error:
            done.append(error.args[0])
        await asyncio.sleep(0)
        async with asyncio.timeout(10):  # the rest is a task like any other
            await asyncio.sleep(0)
        done.append(turn.alone)

    task = turn.begin(work())
    assert task is not None and done == ["end"] and not turn.alone
    answer.set_exception(KeyError("told"))
    await task
    assert done == ["end", "told", False]


async def test_the_rest_can_be_cancelled() -> None:
    done = list[str]()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            done.append("cleaned up")

    task = Turn().begin(work())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["cleaned up"]


async def test_a_mistake_comes_out_and_ends_the_turn() -> None:
    turn, done = Turn(), list[str]()

    async def work() -> None:
        turn.at_end(lambda: done.append("end"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        turn.begin(work())
    assert done == ["end"] and not turn.alone


class _House:
    """NG before a fake plane, with real records."""

    def __init__(self, folder: Path) -> None:
        turn = Turn()
        self.store = CallStore(folder / "calls.db", Vault(bytes(32)), turn=turn)
        self.rig = Rig(FakePlane(), self.store, turn=turn)  # type: ignore[arg-type]
        self.requests = NgRequests(NgCommands(self.rig.calls, NgRules(MediaOptions)), ["127.0.0.1"], turn=turn)
        self.written_at_poll: list[list[str]] = []
        poll = self.rig.plane.poll

        def polled() -> list[object]:
            self.written_at_poll.append(list(self.store.load().records))
            return list(poll())

        self.rig.plane.poll = polled  # type: ignore[method-assign,assignment]

    def ask(self, command: str, **words: object) -> list[bytes]:
        answers = list[bytes]()
        words |= {"command": command, "call-id": "c", "from-tag": "a", "flags": ["trust-address"]}
        self.requests.take(b"1%d " % len(words) + bencodepy.encode(words), "127.0.0.1", answers.append)
        return answers


async def test_a_request_is_answered_in_its_own_turn_and_its_record_is_written_first(tmp_path: Path) -> None:
    house = _House(tmp_path)
    answers = house.ask("offer", sdp=OFFER)
    assert len(answers) == 1 and b"6:result2:ok" in answers[0]  # no turn of the event loop has passed
    assert house.written_at_poll[0] == ["c"]
    assert b"6:result2:ok" in house.ask("delete")[0]
    assert house.store.load().records == {}
    house.rig.stop()


async def test_a_worker_that_takes_its_time_is_waited_for(tmp_path: Path) -> None:
    house = _House(tmp_path)
    house.rig.plane.silent = True
    answers = house.ask("offer", sdp=OFFER)
    assert answers == [] and list(house.store.load().records) == ["c"]
    house.rig.plane.speak()
    for _ in range(5):
        await asyncio.sleep(0)
    assert b"6:result2:ok" in answers[0]
    house.rig.stop()


async def test_other_news_that_is_found_is_told_in_a_turn_of_its_own(tmp_path: Path) -> None:
    house, told = _House(tmp_path), list[Punt]()
    house.rig.dispatcher.on_punt = told.append
    house.rig.plane.punt(0, 7, "stun", ("127.0.0.1", 9), b"x")
    assert house.ask("offer", sdp=OFFER) and told == []
    await asyncio.sleep(0)
    assert [punt.data for punt in told] == [b"x"]
    house.rig.stop()


async def test_two_requests_about_one_call_are_carried_out_one_after_the_other(tmp_path: Path) -> None:
    house = _House(tmp_path)
    house.rig.plane.silent = True
    offer, delete = house.ask("offer", sdp=OFFER), house.ask("delete")
    for _ in range(5):
        await asyncio.sleep(0)
    assert offer == delete == []
    house.rig.plane.speak()
    for _ in range(10):
        await asyncio.sleep(0)
    assert b"6:result2:ok" in offer[0] and b"6:result2:ok" in delete[0]
    assert house.rig.calls.statistics().calls == 0 and house.rig.everything_is_free()
    assert house.store.load().records == {}
    house.rig.stop()
