"""Calls that the media plane ended by itself are hung up by Kamailio (D03)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance.calls.views import CallEvent, CallState, CallView, EventKind
from appliance.sip_edge.management.hangups import Hangups
from appliance.sip_edge.rpc import RpcRefused, RpcUnavailable


class Kamailio:
    """What it was asked; `trouble` by Call-ID."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | int, ...]] = []
        self.trouble: dict[str, Exception] = {}

    async def call(self, method: str, *params: str | int) -> Any:
        self.asked.append((method, *params))
        if error := self.trouble.get(str(params[0])):
            raise error


def ended(call_id: str, reason: str, to_tag: str = "b") -> CallEvent:
    view = CallView(call_id, CallState.ENDED, 0, 1, 1, 0, "a", to_tag)
    return CallEvent(EventKind.ENDED, 1, call_id, view, reason)


async def told(kamailio: Kamailio, *events: CallEvent) -> None:
    hangups = Hangups(kamailio)  # type: ignore[arg-type]
    hangups.start()
    for event in events:
        hangups.media_ended(event)
    for _ in range(10):
        await asyncio.sleep(0)
    await hangups.stop()


@pytest.mark.row("D03")
async def test_both_phones_of_a_call_are_told() -> None:
    kamailio = Kamailio()
    await told(kamailio, ended("1", "fingerprint_mismatch"), ended("2", "silence"))
    assert kamailio.asked == [("dlg.terminate_dlg", one, "a", "b") for one in ("1", "2")]


async def test_what_signalling_ended_is_left_alone() -> None:
    """BYE is on its way already; a call that nobody answered has no dialog."""
    kamailio = Kamailio()
    await told(kamailio, ended("1", "deleted"), ended("2", "unanswered", to_tag=""))
    assert kamailio.asked == []


async def test_calls_of_others_and_an_edge_that_is_away() -> None:
    """The next one is told all the same."""
    kamailio = Kamailio()
    kamailio.trouble = {"1": RpcRefused(404, "not found"), "2": RpcUnavailable("not up")}
    await told(kamailio, *(ended(one, "silence") for one in ("1", "2", "3")))
    assert [one[1] for one in kamailio.asked] == ["1", "2", "3"]
