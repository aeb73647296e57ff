"""Keeps the processes of DESIGN section 2 running: each dies alone and comes back alone, except the media holder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.launch.child import Child, Program

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
STEADY_S = 10.0  # one that ran this long starts again without a wait
LAST_LINES = 8


class StartFailed(Exception):
    """An essential process did not get ready; the message ends with what it logged last."""


class Supervisor:
    """Starts programs in order, each when the one before is ready; stops them in reverse."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None], logs: Path | None = None) -> None:
        self._programs = programs
        self._say = say
        self._logs = logs
        self._children: dict[str, Child] = {}
        self._started: dict[str, float] = {}
        self._waits: dict[str, float] = {}

    def pids(self) -> dict[str, int]:
        return {name: child.pid for name, child in self._children.items() if not child.ended.done()}

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Until `stop` is set. `ready` is called once, when everything answers. StartFailed, OSError."""
        try:
            await self._start_all()
            ready()
            watches = {asyncio.create_task(self._watch(), name="watch"), asyncio.create_task(stop.wait(), name="stop")}
            done, pending = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for task in done:
                task.result()
        finally:
            await self._stop_all()

    async def _watch(self) -> None:
        """Bring back whatever ends."""
        while True:
            running = {child.ended: name for name, child in self._children.items()}
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task, name in running.items():
                if task.done():
                    await self._replace(self._children[name])

    async def _replace(self, child: Child) -> None:
        program = child.program
        self._say(f"{program.name} (pid {child.pid}) ended with status {child.process.returncode}; starting it again")
        child.sweep()
        await asyncio.sleep(self._wait(program.name))
        if program.essential:
            await self._stop_all()
            await self._start_all()
        elif not await self._start(program):
            self._say(f"{program.name} does not get ready: {self._last_words(program.name)}")

    async def _start_all(self) -> None:
        for program in self._programs:
            if await self._start(program):
                continue
            words = f"{program.name} does not get ready: {self._last_words(program.name)}"
            if program.essential:
                raise StartFailed(words)
            self._say(words)

    async def _start(self, program: Program) -> bool:
        self._started[program.name] = asyncio.get_running_loop().time()
        child = await Child.start(program, self.log(program.name))
        self._children[program.name] = child
        return await child.becomes_ready()

    async def _stop_all(self) -> None:
        for child in reversed(list(self._children.values())):
            await child.stop()
        self._children.clear()

    def _wait(self, name: str) -> float:
        """Seconds before the next start: doubled each time, none after a steady run."""
        ran = asyncio.get_running_loop().time() - self._started[name]
        last = self._waits.get(name, 0.0)
        self._waits[name] = 0.0 if ran >= STEADY_S else min(max(2 * last, FIRST_WAIT_S), LONGEST_WAIT_S)
        return self._waits[name]

    def log(self, name: str) -> Path | None:
        return None if self._logs is None else self._logs / f"{name}.log"

    def _last_words(self, name: str) -> str:
        path = self.log(name)
        if path is None or not path.exists():
            return "see above"
        lines = path.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n  ".join(["", *lines]) if lines else "it said nothing"
