"""Our agent and aioice's over real sockets on loopback, each in either role (G20, ICE-2, ICE-4, ICE-6)."""

from __future__ import annotations

import asyncio
import os
import time

import aioice
import aioice.ice
import pytest

from appliance.calls.media import IceCredentials
from appliance.protocols.ice.agent import Agent
from appliance.protocols.ice.candidate import host_candidates
from appliance.protocols.ice.outputs import Base, ConsentLost, Output, Selected, Send
from appliance.protocols.ice.pacing import Pacer
from appliance.protocols.stun.message import is_stun

OURS = IceCredentials("ourU", "ourPasswordOfTwentyTwo")
HOST = "127.0.31.1"  # aioice takes any port: here no gateway of another test claims it


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves loopback out."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [HOST])


class Endpoint(asyncio.DatagramProtocol):
    """A socket for each component and an agent: what the driver does, without a gateway."""

    def __init__(self, controlling: bool, components: int) -> None:
        self.told: list[Output] = []
        self.media: asyncio.Queue[bytes] = asyncio.Queue()
        self.settled = asyncio.Event()
        self._controlling, self._components = controlling, components
        self._sockets: dict[Base, asyncio.DatagramTransport] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for component in range(1, self._components + 1):
            transport, _ = await loop.create_datagram_endpoint(lambda c=component: _Port(self, c), (HOST, 0))
            self._sockets[Base(component, transport.get_extra_info("sockname")[:2])] = transport
        self.agent = Agent(OURS, list(self._sockets), controlling=self._controlling, random=os.urandom, pacer=Pacer())

    @property
    def lines(self) -> list[str]:
        return [str(one) for one in host_candidates((base.component, base.address) for base in self._sockets)]

    def arrived(self, component: int, data: bytes, source: tuple[str, int]) -> None:
        base = next(base for base in self._sockets if base.component == component)
        if is_stun(data):
            self.do(self.agent.receive(base, source, data, time.monotonic()))
        else:
            self.media.put_nowait(data)

    def do(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Send):
                self._sockets[output.base].sendto(output.data, output.to)
            else:
                self.told.append(output)
        if self.agent.settled:
            self.settled.set()
        if self._timer is not None:
            self._timer.cancel()
        due = self.agent.next_timeout
        if due is not None:
            later = max(0.0, due - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(later, self._tick)

    def send(self, data: bytes) -> None:
        found = self.agent.selected(1)
        assert found is not None
        self._sockets[found[0]].sendto(data, found[1])

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for transport in self._sockets.values():
            transport.close()

    def _tick(self) -> None:
        self.do(self.agent.advance(time.monotonic()))


class _Port(asyncio.DatagramProtocol):
    def __init__(self, owner: Endpoint, component: int) -> None:
        self._owner, self._component = owner, component

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._owner.arrived(self._component, data, addr)


@pytest.mark.row("G20", "ICE-2", "ICE-4")
@pytest.mark.parametrize("components", [1, 2])
@pytest.mark.parametrize(("we_control", "they_control"), [(True, False), (False, True), (True, True), (False, False)])
async def test_pairs_with_aioice(we_control: bool, they_control: bool, components: int) -> None:
    """Also where both or neither think that they control: one of them gives way."""
    ours = Endpoint(we_control, components)
    theirs = aioice.Connection(they_control, components=components, use_ipv6=False)
    await ours.open()
    try:
        await theirs.gather_candidates()
        theirs.remote_username, theirs.remote_password = OURS.ufrag, OURS.pwd
        for line in ours.lines:
            await theirs.add_remote_candidate(aioice.Candidate.from_sdp(line))
        await theirs.add_remote_candidate(None)
        peer = IceCredentials(theirs.local_username, theirs.local_password)
        lines = [candidate.to_sdp() for candidate in theirs.local_candidates]
        ours.do(ours.agent.set_remote(peer, lines, complete=True, now=time.monotonic()))
        await asyncio.wait_for(asyncio.gather(theirs.connect(), ours.settled.wait()), 10)
        assert ours.agent.controlling is not theirs.ice_controlling
        await theirs.sendto(b"\x80from-aioice", 1)
        ours.send(b"\x80from-us")
        assert await asyncio.wait_for(theirs.recvfrom(), 5) == (b"\x80from-us", 1)
        assert await asyncio.wait_for(ours.media.get(), 5) == b"\x80from-aioice"
        assert len([output for output in ours.told if isinstance(output, Selected)]) >= components
    finally:
        await theirs.close()
        ours.close()


@pytest.mark.row("ICE-6", "G21")
async def test_candidates_trickle_from_aioice() -> None:
    """Checks begin with the first candidate that is told, not with the description."""
    ours, theirs = Endpoint(True, 1), aioice.Connection(False, components=1, use_ipv6=False)
    await ours.open()
    try:
        peer = IceCredentials(theirs.local_username, theirs.local_password)
        ours.do(ours.agent.set_remote(peer, [], complete=False, now=time.monotonic()))
        theirs.remote_username, theirs.remote_password = OURS.ufrag, OURS.pwd
        await theirs.gather_candidates()
        await theirs.add_remote_candidate(aioice.Candidate.from_sdp(ours.lines[0]))
        await theirs.add_remote_candidate(None)
        lines = [candidate.to_sdp() for candidate in theirs.local_candidates]
        ours.do(ours.agent.add_candidates(lines, complete=True, now=time.monotonic()))
        await asyncio.wait_for(asyncio.gather(theirs.connect(), ours.settled.wait()), 10)
    finally:
        await theirs.close()
        ours.close()


@pytest.mark.row("ICE-7")
async def test_aioice_answers_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """And we answer its; the interval is shortened, the rest is as always."""
    monkeypatch.setattr("appliance.protocols.ice.consent.INTERVAL_S", 0.1)
    monkeypatch.setattr("appliance.protocols.ice.consent.EXPIRES_S", 1.0)
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 1)
    ours, theirs = Endpoint(True, 1), aioice.Connection(False, components=1, use_ipv6=False)
    await ours.open()
    try:
        await theirs.gather_candidates()
        theirs.remote_username, theirs.remote_password = OURS.ufrag, OURS.pwd
        await theirs.add_remote_candidate(aioice.Candidate.from_sdp(ours.lines[0]))
        await theirs.add_remote_candidate(None)
        peer = IceCredentials(theirs.local_username, theirs.local_password)
        lines = [candidate.to_sdp() for candidate in theirs.local_candidates]
        ours.do(ours.agent.set_remote(peer, lines, complete=True, now=time.monotonic()))
        await asyncio.wait_for(asyncio.gather(theirs.connect(), ours.settled.wait()), 10)
        await asyncio.sleep(2.5)
        assert not [output for output in ours.told if isinstance(output, ConsentLost)]
        await theirs.close()
        await asyncio.sleep(1.5)
        assert [output for output in ours.told if isinstance(output, ConsentLost)]
        assert ours.agent.selected(1) is None
    finally:
        ours.close()
