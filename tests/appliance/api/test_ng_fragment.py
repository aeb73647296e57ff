"""The word `fragment` of NG (rtpengine's way of trickle ICE; row G21, ICE-6)."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.calls.registry import Branch
from tests.appliance.api.test_ng_server import Face
from tests.appliance.rig import OFFER

UFRAG, PWD = "8hhY", "asd88fgpdd777uzjYhagZg"
WITH_ICE = OFFER.decode() + f"a=mid:0\r\na=ice-ufrag:{UFRAG}\r\na=ice-pwd:{PWD}\r\na=ice-options:trickle\r\n"
LINE = "1 1 UDP 2130706431 192.0.2.1 5000 typ host"


def fragment(ufrag: str = UFRAG) -> str:
    return f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{PWD}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:{LINE}\r\n"


class Agents:
    """Notes what legs are told of."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, tuple[str, ...], bool]] = []

    def add_candidates(self, branch: Branch, line: int, side: str, candidates: Any, complete: bool) -> None:
        self.told.append((line, side, tuple(candidates), complete))


@pytest.fixture
async def face() -> Face:
    return Face()


@pytest.mark.row("G21", "ICE-6")
async def test_candidates_of_the_offerer(face: Face) -> None:
    """Taken for the leg that the from-tag names; no SDP comes back; another generation's wait in vain."""
    face.rig.calls.trickling.agents = agents = Agents()
    offered = await face.ask("offer", call_id="x", from_tag="a", sdp=WITH_ICE, ICE="remove", **{"ICE-lite": "off"})
    assert offered["result"] == "ok"
    assert await face.ask("offer", call_id="x", from_tag="a", sdp=fragment(), flags=["fragment"]) == {"result": "ok"}
    ended = fragment() + "a=end-of-candidates\r\n"
    assert await face.ask("offer", call_id="x", from_tag="a", sdp=ended, flags=["fragment"]) == {"result": "ok"}
    for tag, ufrag in (("a", "another"), ("b", UFRAG)):
        assert (await face.ask("offer", call_id="x", from_tag=tag, sdp=fragment(ufrag), flags=["fragment"])) == {
            "result": "ok"
        }
    assert agents.told == [(0, "a", (LINE,), False), (0, "a", (LINE,), True)]


@pytest.mark.row("G21")
async def test_what_is_refused(face: Face) -> None:
    """rtpengine's words for a call that is not there; a body that is no fragment."""
    reply = await face.ask("offer", call_id="y", from_tag="a", sdp=fragment(), flags=["fragment"])
    assert reply == {"result": "error", "error-reason": "Unknown call-id"}
    assert (await face.ask("list"))["calls"] == []
    await face.ask("offer", call_id="x", from_tag="a", sdp=WITH_ICE)
    for command in ({"command": "offer"}, {"command": "answer", "to_tag": "b"}):
        reply = await face.ask(call_id="x", from_tag="a", sdp="rubbish", flags=["fragment"], **command)
        assert reply["result"] == "error"
