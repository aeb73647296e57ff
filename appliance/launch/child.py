"""One process of the gateway under the supervisor: started in a session of its own, ended by its process id."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_PATIENCE_S = 5.0
FALSE = "/bin/false"
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Program:
    """What to run. `prepare` writes what it reads and returns its arguments; it runs before every start."""

    name: str
    prepare: Callable[[], Sequence[str]]
    ready: Callable[[], bool]
    essential: bool = False  # its end takes every other one with it (the media holder)
    ready_s: float = 20.0


class Child:
    """A running Program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self.process = process
        self.ended = asyncio.create_task(process.wait(), name=f"wait-{program.name}")

    @classmethod
    async def start(cls, program: Program, log: Path | None) -> Child:
        """Run it with its output in `log` (None: ours). OSError when it cannot be executed.

        One that cannot be prepared (a database that is away, a configuration that is refused) is a process that ends at
        once, and says why: it is tried again like any other, and takes nothing with it.
        """
        output = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            try:
                words = await asyncio.to_thread(program.prepare)
            except Exception as error:
                why = f"{program.name} cannot be started: {type(error).__name__}: {error}\n"
                os.write(sys.stderr.fileno() if output is None else output, why.encode())
                words = [FALSE]
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=_die_with_parent, env=environment(),
            )  # fmt: skip
        finally:
            if output is not None:
                os.close(output)
        return cls(program, process)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def becomes_ready(self) -> bool:
        """Poll `ready` until it holds; False when the process ended or `ready_s` passed first."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + self.program.ready_s
        while not self.ended.done() and loop.time() < limit:
            if await asyncio.to_thread(self.program.ready):
                return True
            await asyncio.sleep(0.1)
        return False

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL; then whatever it left in its session."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.ended), STOP_PATIENCE_S)
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
        await self.ended
        self.sweep()

    def sweep(self) -> None:
        """Kill what outlived it in its own session (Kamailio's workers keep the SIP sockets open)."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def environment() -> dict[str, str]:
    """Ours, with the programs of this Python first: an editable installation rebuilds with them."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"}


def _die_with_parent() -> None:
    """In the child: a supervisor that is killed takes its processes along, so that no port stays taken."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
