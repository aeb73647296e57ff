"""The supervisor with real little processes: order, restart alone, restart all, clean stop, backoff."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.launch.child import Program
from appliance.launch.supervisor import StartFailed, Supervisor

SLEEPER = "import sys, time, pathlib; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"


def sleeper(directory: Path, name: str, *, essential: bool = False) -> Program:
    mark = directory / name

    def prepare() -> list[str]:
        mark.unlink(missing_ok=True)
        return [sys.executable, "-c", SLEEPER, str(mark)]

    return Program(name, prepare, mark.exists, essential, ready_s=10)


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(supervisor.run(stop, ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    try:
        assert ready.is_set()
        yield supervisor
    finally:
        waiting.cancel()
        stop.set()
        await task


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def runs(pid: str) -> bool:
    """Alive and not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_everything_runs_and_stops(tmp_path: Path) -> None:
    """Issue 2, 1: stopped by process id, nothing left behind."""
    supervisor = Supervisor([sleeper(tmp_path, "media", essential=True), sleeper(tmp_path, "control")], print)
    async with running(supervisor):
        pids = supervisor.pids()
        assert set(pids) == {"media", "control"}
    assert not any(alive(pid) for pid in pids.values())


async def test_a_killed_process_comes_back_alone(tmp_path: Path) -> None:
    """DESIGN 2: control dies alone and comes back alone."""
    said: list[str] = []
    supervisor = Supervisor([sleeper(tmp_path, "media", essential=True), sleeper(tmp_path, "control")], said.append)
    async with running(supervisor):
        before = supervisor.pids()
        os.kill(before["control"], signal.SIGKILL)
        await until(lambda: supervisor.pids().get("control", before["control"]) != before["control"])
        assert supervisor.pids()["media"] == before["media"]
    assert "control" in said[0]


async def test_the_holders_end_restarts_all(tmp_path: Path) -> None:
    """DESIGN 2: without the media holder nothing that the others know is true."""
    supervisor = Supervisor([sleeper(tmp_path, "media", essential=True), sleeper(tmp_path, "control")], lambda _: None)
    async with running(supervisor):
        before = supervisor.pids()
        os.kill(before["media"], signal.SIGKILL)
        await until(lambda: len(supervisor.pids()) == 2 and not set(supervisor.pids().values()) & set(before.values()))


async def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    """A killed Kamailio leaves workers that keep the SIP port: they are killed before it starts again."""
    code = (
        "import os, pathlib, sys, time\n"
        "worker = os.fork()\n"
        "if not worker:\n    time.sleep(60)\n    os._exit(0)\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).write_text(str(worker)); time.sleep(60)"
    )
    program = Program("edge", lambda: [sys.executable, "-c", code], (tmp_path / "up").exists, ready_s=10)
    supervisor = Supervisor([program], lambda _: None)
    async with running(supervisor):
        first, worker = supervisor.pids()["edge"], (tmp_path / "up").read_text()
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pids().get("edge", first) != first)
        await until(lambda: not runs(worker))


async def test_what_cannot_be_prepared_is_tried_again_alone(tmp_path: Path) -> None:
    """The SIP edge's database is away when Kamailio is to start again: media and control stay, and its log says why."""
    logs = tmp_path / "log"
    logs.mkdir()
    good, tries = sleeper(tmp_path, "sip"), []

    def prepare() -> list[str]:
        words = list(good.prepare())
        tries.append(1)
        if len(tries) in (2, 3):
            raise RuntimeError("the database does not answer")
        return words

    said: list[str] = []
    programs = [sleeper(tmp_path, "media", essential=True), Program("sip", prepare, good.ready, ready_s=10)]
    supervisor = Supervisor(programs, said.append, logs)
    async with running(supervisor):
        before = supervisor.pids()
        os.kill(before["sip"], signal.SIGKILL)
        await until(lambda: len(tries) == 4 and good.ready())
        assert supervisor.pids()["media"] == before["media"]
    assert "sip cannot be started: RuntimeError: the database does not answer" in (logs / "sip.log").read_text()
    assert any("does not get ready" in words and "the database does not answer" in words for words in said)


async def test_an_essential_process_that_fails_is_reported(tmp_path: Path) -> None:
    """The error names the process and ends with its last words."""
    logs = tmp_path / "log"
    logs.mkdir()
    words = [sys.executable, "-c", "import sys; sys.exit('port 5 is taken')"]
    supervisor = Supervisor([Program("media", lambda: words, lambda: False, essential=True)], print, logs)
    with pytest.raises(StartFailed, match=r"media does not get ready(.|\n)*port 5 is taken"):
        await supervisor.run(asyncio.Event(), lambda: None)


async def test_waits_grow_and_are_bounded(tmp_path: Path) -> None:
    """A process that dies at once is not started in a tight loop."""
    supervisor = Supervisor([], print)
    supervisor._started["x"] = asyncio.get_running_loop().time()
    waits = [supervisor._wait("x") for _ in range(8)]
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == 5.0
    supervisor._started["x"] -= 60
    assert supervisor._wait("x") == 0
