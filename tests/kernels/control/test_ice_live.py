"""aioice, a full controlling agent, against real worker processes on loopback; a worker dies, a call moves."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import aioice
import pytest

from kernels.control.commands import ExportStream, ImportStream, InstallFlow, InstallIce
from kernels.control.mailbox import DROPS
from kernels.control.status import IceStatus
from tests.kernels.checks import OUR_PASSWORD, OURS, THEIR_PASSWORD, THEIRS
from tests.kernels.rig import (
    Control,
    HolderProcess,
    balanced,
    discard,
    endpoint,
    holder,
    rtp,
    wait_for,
)

PORT, SHARE = 31200, 20
CORES = sorted(os.sched_getaffinity(0))[:2]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[HolderProcess]:
    cores = CORES if len(CORES) == 2 else [CORES[0], CORES[0] + 1]
    with holder(tmp_path, PORT, cores=cores, ports=[PORT, PORT + 2 * SHARE - 1]) as process:
        yield process


class Call:
    """Between an ICE agent (flow 0) and Bob (flow 1), both plain RTP."""

    def __init__(self, process: HolderProcess) -> None:
        self.control = Control(process.path)
        self.bob = endpoint()
        self.bob.setblocking(False)
        assert self.control.do(
            InstallFlow(0, "default", PORT, True, True, None, 1, 1, ice=True),
            InstallFlow(1, "default", PORT + 1, True, True, self.bob.getsockname(), 0, 0, latching="off"),
            InstallIce(0, OURS, OUR_PASSWORD, THEIRS),
        ) == [0] * 3  # fmt: skip
        self.worker = 0

    @property
    def ice(self) -> IceStatus:
        found = self.control.plane.flow(self.worker, 0).ice
        assert found is not None
        return found

    async def answered(self, more: int = 1) -> None:
        """Until the agent has answered so many more checks."""
        before = self.ice.answered
        await until(lambda: self.ice.answered >= before + more)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (another process counts)
            await asyncio.sleep(0.02)


async def peer(port: int = PORT, *, lite: bool = True) -> aioice.Connection:
    """Connected, controlling."""
    agent = aioice.Connection(ice_controlling=True, local_username=THEIRS, local_password=THEIR_PASSWORD)
    await agent.gather_candidates()
    agent.remote_is_lite = lite
    agent.remote_username, agent.remote_password = OURS, OUR_PASSWORD
    await agent.add_remote_candidate(
        aioice.Candidate("f", 1, "udp", 2130706431, "127.0.0.1", port, "host", generation=0)
    )
    await agent.add_remote_candidate(None)
    async with asyncio.timeout(10):
        await agent.connect()
    return agent


async def heard(agent: aioice.Connection, bob: socket.socket, number: int) -> None:
    """A packet each way, byte for byte."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5):
        await agent.send(rtp(number))
        data, gateway = await loop.sock_recvfrom(bob, 2000)
        assert data == rtp(number)
        await loop.sock_sendto(bob, rtp(number, ssrc=77), gateway)
        assert await agent.recv() == rtp(number, ssrc=77)


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host candidates on loopback alone, consent checks every fifth of a second."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)


@pytest.mark.row("G20", "ICE-2", "ICE-3", "ICE-4", "ICE-7")
@pytest.mark.parametrize("lite", [True, False])
async def test_a_full_agent_connects(running: HolderProcess, lite: bool) -> None:
    """Regular nomination (the peer knows that we are lite) and aggressive: checks, media both ways, consent checks."""
    call = Call(running)
    agent = await peer(lite=lite)
    try:
        await heard(agent, call.bob, 1)
        await call.answered(3)
        assert call.ice.selected is not None
        assert (call.ice.consent, call.ice.nominations, call.ice.refused) == (True, 1, {})
        call.control.poll()
        assert [punt.data for punt in call.control.punts if punt.kind == "ice"] == [b"valid", b"nominated"]
    finally:
        await agent.close()
    counters = wait_for(lambda: call.control.plane.counters(0))
    wait_for(lambda: balanced(call.control.plane.counters(0), DROPS))
    assert counters["ice_answered"] >= 4


@pytest.mark.row("G20", "ICE-3")
async def test_a_wrong_password_connects_nobody(running: HolderProcess) -> None:
    call = Call(running)
    assert call.control.do(InstallIce(0, OURS, THEIR_PASSWORD, THEIRS)) == [0]
    trying = asyncio.create_task(peer())
    await until(lambda: call.ice.refused.get("integrity", 0) >= 3)
    assert not trying.done()
    trying.cancel()
    assert (call.ice.selected, call.ice.sources) == (None, ())


@pytest.mark.row("ICE-7")
async def test_a_worker_is_killed_and_replaced(running: HolderProcess) -> None:
    """The pair and its consent are in the arena: media goes on without a new nomination."""
    call = Call(running)
    agent = await peer()
    try:
        await heard(agent, call.bob, 1)
        os.kill(call.control.plane.worker(0).pid, signal.SIGKILL)
        await asyncio.to_thread(call.control.await_news, "started")
        await heard(agent, call.bob, 2)
        await call.answered()
        assert (call.ice.nominations, call.ice.consent) == (1, True)
    finally:
        await agent.close()


@pytest.mark.row("ICE-4", "ICE-7")
async def test_a_call_moves_to_another_worker(running: HolderProcess) -> None:
    """With its sockets: the peer notices nothing."""
    call = Call(running)
    agent = await peer()
    try:
        await heard(agent, call.bob, 1)
        flows, none = (0, 1, None, None), (None,) * 4
        assert call.control.do(ExportStream(0, 5, 1, flows, none)) == [0]
        assert call.control.do(ImportStream(0, 5, flows, none), discard(5), worker=1) == [0, 0]
        call.worker = 1
        await heard(agent, call.bob, 2)
        await call.answered(2)
        assert call.ice.nominations == 1
    finally:
        await agent.close()
    assert select.select([call.bob], [], [], 0)[0] == []
