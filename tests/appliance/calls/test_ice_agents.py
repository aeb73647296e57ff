"""Full ICE joined to calls: the worker is a fake plane (which passes STUN on and has answered requests), the peer is an
agent of the test (ICE-2, ICE-4 to ICE-8, G20, G21, A5, D12)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.calls import adoption
from appliance.calls.following import Following
from appliance.calls.ice_agents import IceAgents
from appliance.calls.ice_pairs import Pairs
from appliance.calls.keyed import Seat
from appliance.calls.media import Address, IceCredentials, IceMedia, LegMedia, StreamMedia
from appliance.calls.views import EventKind, SessionRequest
from appliance.errors import InvalidSdp, UnknownCall
from appliance.protocols.ice import trickle
from appliance.protocols.ice.agent import Agent
from appliance.protocols.ice.outputs import Base, Send
from appliance.protocols.ice.pacing import Pacer
from appliance.protocols.stun.integrity import short_term
from appliance.protocols.stun.message import Kind, Message, encode, parse
from appliance.state.store import Loaded
from kernels.control.commands import InstallFlow
from tests.appliance.calls.test_keying import House

OURS, THEIRS = IceCredentials("ours", "o" * 22), IceCredentials("theirs", "t" * 22)
OURS2, THEIRS2 = IceCredentials("ours2", "O" * 22), IceCredentials("theirs2", "T" * 22)
PEER = ("127.0.0.1", 50000)
LINE = f"1 1 udp 2130706431 {PEER[0]} {PEER[1]} typ host"


class Rig(House):
    """A house with ICE agents; `peer` hears what is injected and is heard as punts, until `deaf`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        ledger = self.rig.calls.ledger
        self.ice_pairs = Pairs(ledger)
        self.agents = IceAgents(self.keying, self.ice_pairs, self.counts)
        self.keying.on_stun, self.keying.on_expired = self.agents.stun, self.agents.expired
        self.rig.calls.trickling.agents = self.agents
        ledger.keying = Following(self.keying, self.agents, self.rig.calls.trickling)
        self.deaf = False
        self.peer: Agent | None = None
        self.plane = self.rig.plane
        self._inject, self.plane.inject = self.plane.inject, self._injected  # type: ignore[method-assign]

    def begin(
        self, credentials: IceCredentials = THEIRS, ours: IceCredentials = OURS, controlling: bool = False
    ) -> None:
        self.peer = Agent(credentials, [Base(1, PEER)], controlling=controlling, random=os.urandom,
                          pacer=Pacer())  # fmt: skip
        self.say(self.peer.set_remote(ours, [], complete=True, now=time.monotonic()))

    def _injected(
        self, worker: int, slot: int, data: bytes, to: tuple[str, int], *, wake: bool = True
    ) -> None:
        self._inject(worker, slot, data, to, wake=wake)
        if self.peer is not None and not self.deaf and to == PEER:
            placed = self.branch.placement.streams[0]
            source = (placed.placement.b.address, placed.placement.b.rtp)
            self.say(self.peer.receive(Base(1, PEER), source, data, time.monotonic()))

    def say(self, outputs: list[Any]) -> None:
        """The peer's datagrams arrive; a request has been answered by the worker by then."""
        for output in outputs:
            if not isinstance(output, Send):
                continue
            worker, slot = self.slot()
            message = parse(output.data)
            assert isinstance(message, Message)
            if message.kind is Kind.REQUEST:
                ours = self.leg().ice
                assert ours is not None and self.peer is not None
                answer = Message(Kind.SUCCESS, message.transaction, xor_mapped_address=PEER)
                data = encode(answer, short_term(ours.local.pwd))
                asyncio.get_running_loop().call_soon(self._answered, output.to, data)
            self.plane.punt(worker, slot, "stun", PEER, output.data)

    def _answered(self, source: tuple[str, int], data: bytes) -> None:
        assert self.peer is not None
        self.say(self.peer.receive(Base(1, PEER), source, data, time.monotonic()))

    async def until(self, what: Callable[[], bool], seconds: float = 3.0) -> None:
        """The peer's timers run meanwhile."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "never happened"
            if self.peer is not None:
                self.say(self.peer.advance(time.monotonic()))
            await asyncio.sleep(0.01)

    async def up_with(self, ice: IceMedia, *, mux: bool = True) -> None:
        await self.up(LegMedia("outside", None, None, mux, ice=ice))

    def requests(self) -> list[Message]:
        found = [parse(data) for _, data, _ in self.injected()]
        return [one for one in found if isinstance(one, Message) and one.kind is Kind.REQUEST]


def ice(**change: Any) -> IceMedia:
    return replace(IceMedia(OURS, THEIRS, lite=False, controlling=True, candidates=(LINE,)), **change)


@pytest.fixture
async def house() -> AsyncIterator[Rig]:
    yield Rig()


@pytest.mark.row("G20", "ICE-2", "ICE-4")
@pytest.mark.parametrize("we_control", [True, False])
async def test_a_pair_is_found_and_the_worker_is_told(house: Rig, we_control: bool) -> None:
    """Nothing is sent to the peer before; afterwards the flow's remote is the pair's far end, and the record has it."""
    await house.up_with(ice(controlling=we_control))
    assert house.flow().remote is None and house.flow().ice
    assert len(house.agents) == 1
    house.begin(controlling=not we_control)
    await house.until(lambda: house.flow().remote == PEER)
    assert house.branch.pairs == {Seat(0, "b", "rtp"): Address(*PEER)}
    assert {to for _, _, to in house.injected()} == {PEER}
    assert not any(message.kind is Kind.SUCCESS for message in house.requests())
    assert b'"b","rtp","127.0.0.1",50000' in house.rig.store.records["c"]


@pytest.mark.row("A5")
async def test_a_candidate_that_no_sdp_told_of(house: Rig) -> None:
    """Behind a NAT or a relay: the peer's own checks say where it is."""
    await house.up_with(ice(candidates=(), controlling=False))
    house.begin(controlling=True)
    placed = house.branch.placement.streams[0].placement.b
    line = f"1 1 udp 9 {placed.address} {placed.rtp} typ host"
    assert house.peer is not None
    house.say(house.peer.add_candidates([line], complete=True, now=time.monotonic()))
    await house.until(lambda: house.flow().remote == PEER)


async def test_a_lite_leg_has_no_agent(house: Rig) -> None:
    await house.up_with(ice(lite=True))
    assert len(house.agents) == 0
    await house.arrives("stun", PEER, encode(Message(Kind.REQUEST, bytes(12))))
    assert not house.injected()


async def test_it_ends_with_its_call(house: Rig) -> None:
    await house.up_with(ice())
    assert len(house.agents) == 1
    await house.rig.calls.delete("c")
    before = len(house.injected())
    await asyncio.sleep(0.7)  # a repetition would be due
    assert len(house.agents) == 0 and len(house.injected()) == before


@pytest.mark.row("ICE-7", "ICE-8", "D12")
async def test_without_consent_nothing_is_sent(house: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of RFC 7675 are the agent's own tests' (test_agent); here: what follows."""
    monkeypatch.setattr("appliance.protocols.ice.consent.INTERVAL_S", 0.05)
    monkeypatch.setattr("appliance.protocols.ice.consent.EXPIRES_S", 0.4)
    await house.up_with(ice())
    house.begin()
    await house.until(lambda: house.flow().remote == PEER)
    await asyncio.sleep(0.6)
    assert house.flow().remote == PEER
    house.told()
    house.deaf = True
    await house.until(lambda: house.flow().remote is None)
    events = house.told()
    assert [event.reason for event in events if event.kind is EventKind.CONSENT_LOST] == [
        f"stream 0, leg b, rtp: no consent of {Address(*PEER)} for 30 s"
    ]
    house.deaf = False
    before = len(house.injected())
    await asyncio.sleep(0.3)
    assert len(house.injected()) == before, "never again with these credentials"


@pytest.mark.row("ICE-7", "D12")
@pytest.mark.parametrize("lite", [True, False])
async def test_a_worker_tells_that_consent_has_ended(house: Rig, lite: bool) -> None:
    """Of the pair that it selected itself; a full agent knows better, and tells by itself."""
    await house.up_with(ice(lite=lite))
    house.told()
    house.plane.punt(*house.slot(), "ice", PEER, b"expired")
    await asyncio.sleep(0.05)
    lost = [event.reason for event in house.told() if event.kind is EventKind.CONSENT_LOST]
    assert lost == [f"stream 0, leg b, rtp: no consent of {Address(*PEER)} for 30 s"] * lite
    assert house.counts.gone == ["consent"] * lite


@pytest.mark.row("ICE-5")
async def test_restart(house: Rig) -> None:
    """The old pair carries media until there is a new one; the worker knows the earlier credentials meanwhile."""
    await house.up_with(ice())
    house.begin()
    await house.until(lambda: house.flow().remote == PEER)
    await house.up_with(ice(local=OURS2, remote=None, earlier=(OURS,), candidates=(), complete=False))
    assert house.flow().remote == PEER
    await house.up_with(ice(local=OURS2, remote=THEIRS2, earlier=(OURS,), candidates=(LINE,)))
    assert house.flow().remote == PEER
    names = {message.username for message in house.requests()}
    house.begin(THEIRS2, OURS2)
    house.told()
    await house.until(lambda: any(message.use_candidate and message.username == "theirs2:ours2"
                                  for message in house.requests()))  # fmt: skip
    assert "theirs:ours" in names and house.flow().remote == PEER


@pytest.mark.row("ICE-4")
async def test_failure_is_told(house: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.protocols.ice.generation.LONGEST_S", 0.2)
    await house.up_with(ice(candidates=()))
    house.told()
    await house.until(lambda: any(event.kind is EventKind.ICE_FAILED for event in house.told()))
    assert house.counts.gone == ["failed"]


async def test_a_refusal_by_the_worker_is_tried_again(house: Rig) -> None:
    await house.up_with(ice())
    house.plane.refuse[InstallFlow] = "EADDRINUSE"
    house.begin()
    await house.until(lambda: any(message.use_candidate for message in house.requests()))
    await asyncio.sleep(0.2)
    assert house.branch.pairs == {}
    house.plane.refuse.clear()
    house.ice_pairs.tick()
    await house.until(lambda: house.flow().remote == PEER)


async def test_the_next_control_process_goes_on(house: Rig) -> None:
    """It finds the pair in the record, and checks with the same credentials."""
    await house.up_with(ice())
    house.begin()
    await house.until(lambda: house.flow().remote == PEER)
    house.rig.stop()
    house.peer = None
    after = Rig(house.rig.plane, house.rig.store)
    report = adoption.adopt(after.rig.calls.ledger, Loaded(dict(house.rig.store.records), [], ""))
    assert report.adopted == 1 and len(after.agents) == 1
    assert after.flow().remote == PEER
    before = len(after.requests())
    await after.until(lambda: len(after.requests()) > before)


# ---------------------------------------------------------------- trickle

FRAGMENT = f"a=ice-ufrag:theirs\r\na=ice-pwd:{'t' * 22}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:{LINE}\r\n"


async def trickled(house: Rig, text: str, tag: str) -> bool:
    """Whether a fragment of this party fits a leg."""
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None
    house.branch.to_tag = tag
    return house.rig.calls.trickling.take(call, tag, trickle.parse(text.encode()))


@pytest.mark.row("G21", "ICE-6")
async def test_candidates_that_come_later(house: Rig) -> None:
    """No check before there is a candidate; a fragment of another generation changes nothing; the right one does."""
    await house.up_with(ice(candidates=(), complete=False))
    house.begin()
    assert not await trickled(house, FRAGMENT.replace("theirs", "others"), "bob")
    await asyncio.sleep(0.1)
    assert not house.requests()
    assert await trickled(house, FRAGMENT + "a=end-of-candidates\r\n", "bob")
    await house.until(lambda: house.flow().remote == PEER)


@pytest.mark.row("G21")
async def test_a_fragment_that_overtakes_its_answer(house: Rig) -> None:
    await house.up_with(ice(remote=None, candidates=(), complete=False))
    assert not await trickled(house, FRAGMENT, "bob")
    await house.up_with(ice(candidates=(), complete=False))
    house.begin()
    await house.until(lambda: house.flow().remote == PEER)


async def test_the_call_api(house: Rig) -> None:
    """UnknownCall and InvalidSdp, and nothing else, whatever the fragment."""
    await house.up_with(ice(candidates=(), complete=False))
    house.branch.to_tag = "bob"
    await house.rig.calls.add_candidates("c", "bob", FRAGMENT.encode())
    house.begin()
    await house.until(lambda: house.flow().remote == PEER)
    with pytest.raises(UnknownCall):
        await house.rig.calls.add_candidates("nobody", "bob", FRAGMENT.encode())
    with pytest.raises(InvalidSdp):
        await house.rig.calls.add_candidates("c", "bob", b"candidate")
    for _ in range(100):  # bounded: of a tag that is nobody's
        await house.rig.calls.add_candidates("c", "eve", FRAGMENT.encode())
    call = house.rig.calls.ledger.registry.get("c")
    assert call is not None
    assert len(house.rig.calls.trickling._waiting[call]) == 16
    await house.rig.calls.delete("c")
    assert not house.rig.calls.trickling._waiting


async def test_two_streams_are_told_apart(house: Rig) -> None:
    """By credentials where they differ, else by place."""
    legs = [LegMedia("outside", None, None, True, ice=ice(local=IceCredentials(name, "x" * 22), candidates=(),
                                                          complete=False)) for name in ("one1", "two2")]  # fmt: skip
    plain = LegMedia("default", Address("127.0.0.1", 40000), Address("127.0.0.1", 40001))
    streams = tuple(StreamMedia("audio", plain, leg) for leg in legs)
    await house.rig.calls.create_session(SessionRequest(streams, "c"))
    second = FRAGMENT.split("m=")[0] + "m=audio 9 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\na=candidate:" + LINE + "\r\n"
    assert await trickled(house, second, "bob")
    await asyncio.sleep(0.2)
    slot = house.branch.placement.streams[1].flows["b_rtp"]
    assert {flow for flow, _, _ in house.injected()} == {slot}
