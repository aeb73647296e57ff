"""The workers as processes: fork, pin, watch, replace.

A worker is replaced only after the old process is certainly gone (waited for): two owners of one region
would use an index twice.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from kernels.control.arena import Arena, forbid_dumps
from kernels.control.confine import die_with_parent, name_process
from kernels.control.journal import Journal
from kernels.control.layout import WorkerState
from kernels.control.worker import Worker
from kernels.port.port import AnyPort
from kernels.port.steering import Wildcard
from kernels.port.udp import UdpPort

SILENCE_NS = 1_000_000_000  # without a heartbeat a worker counts as hung
BOOT_NS = 15_000_000_000  # the first heartbeat may take this long (locking a large arena)
SHORT_LIFE_NS = 1_000_000_000  # dying earlier than this makes the next start wait
LONGEST_WAIT_NS = 5_000_000_000
FIRST_WAIT_NS = 100_000_000


@dataclass(slots=True)
class Place:
    """One worker's place: core, sockets, doorbell, and who fills it now."""

    index: int
    core: int
    fds: list[int]  # of all workers, by socket number
    own: range  # numbers of those in this worker's port range
    doorbell: int
    wildcard: Wildcard | None = None  # instead of descriptors by number
    kept: tuple[mmap.mmap, mmap.mmap] | None = None  # what its port leaves to the next one
    pid: int = 0  # 0: nobody
    started_ns: int = 0
    restarts: int = -1
    short_lives: int = 0  # in a row
    start_at_ns: int = 0
    reason: str = ""


class Team:
    """All workers. `tell` hears of every loss and every start; `before_run` is called in each child first, `port`
    there gives the worker's port around its kernel sockets."""

    def __init__(
        self,
        arena: Arena,
        places: list[Place],
        news: int,
        learning_ms: int,
        journal: Journal,
        tell: Callable[[dict[str, object]], None],
        before_run: Callable[[], None],
        port: Callable[[int, AnyPort], AnyPort] = lambda worker, sockets: sockets,
    ) -> None:
        self._arena, self._places, self._news = arena, places, news
        self._learning_ms, self._journal = learning_ms, journal
        self._tell, self._before_run, self._port = tell, before_run, port
        self._looked_ns = time.monotonic_ns()

    def start_due(self) -> None:
        """Fill every empty place whose time has come."""
        now = time.monotonic_ns()
        for place in self._places:
            if place.pid == 0 and now >= place.start_at_ns:
                self._start(place, now)

    def reap(self) -> None:
        """Take note of workers that ended."""
        for place in self._places:
            if place.pid:
                pid, status = os.waitpid(place.pid, os.WNOHANG)
                if pid:
                    self._lost(place, status)

    def replace_hung(self) -> None:
        """Kill workers without a heartbeat. Not judged by a holder that was itself kept from running."""
        now = time.monotonic_ns()
        late = now - self._looked_ns > SILENCE_NS // 2
        self._looked_ns = now
        for place in self._places:
            state, heartbeat = self._arena.pulse(place.index)
            limit = BOOT_NS if state == WorkerState.STATE_BOOT else SILENCE_NS
            silence = now - max(heartbeat, place.started_ns)
            if place.pid and not late and silence > limit:
                place.reason = f"no heartbeat for {silence / 1e9:.1f} s"
                os.kill(place.pid, signal.SIGKILL)
                self._lost(place, os.waitpid(place.pid, 0)[1])

    def next_start_ns(self) -> int | None:
        """Until the next empty place is to be filled; None: all are."""
        empty = [place.start_at_ns for place in self._places if place.pid == 0]
        return max(0, min(empty) - time.monotonic_ns()) if empty else None

    def running(self) -> int:
        """Workers that are in their loop."""
        return sum(self._arena.pulse(place.index)[0] == WorkerState.STATE_RUN for place in self._places)

    def stop(self, patience_s: float) -> None:
        """Ask all to leave their loops; kill what does not."""
        for place in self._places:
            self._arena.set_wanted(place.index, WorkerState.STATE_HALT)
            os.eventfd_write(place.doorbell, 1)
        deadline = time.monotonic() + patience_s
        while any(place.pid for place in self._places):
            for place in self._places:
                if place.pid and time.monotonic() > deadline:
                    self._journal.write("warning", "worker does not stop", worker=place.index)
                    os.kill(place.pid, signal.SIGKILL)
                if place.pid and os.waitpid(place.pid, os.WNOHANG)[0]:
                    place.pid = 0
            time.sleep(0.005)

    def _start(self, place: Place, now: int) -> None:
        place.restarts += 1
        place.started_ns = now
        self._arena.set_state(place.index, WorkerState.STATE_BOOT)
        self._arena.set_wanted(place.index, WorkerState.STATE_RUN)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._live(place)
        place.pid = pid
        self._arena.set_process(place.index, pid, place.core, place.restarts)
        level = "info" if place.restarts == 0 else "warning"
        self._journal.write(
            level, "worker started", worker=place.index, pid=pid, core=place.core, restarts=place.restarts
        )
        self._report(place, "started", place.reason)
        place.reason = ""

    def _lost(self, place: Place, status: int) -> None:
        now = time.monotonic_ns()
        if not place.reason:
            code = os.waitstatus_to_exitcode(status)
            place.reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        place.short_lives = place.short_lives + 1 if now - place.started_ns < SHORT_LIFE_NS else 0
        place.start_at_ns = now + backoff_ns(place.short_lives)
        self._arena.set_state(place.index, WorkerState.STATE_FAIL)
        self._journal.write("error", "worker lost", worker=place.index, pid=place.pid, reason=place.reason)
        self._report(place, "lost", place.reason)
        place.pid = 0
        self._arena.set_process(place.index, 0, place.core, place.restarts)

    def _report(self, place: Place, event: str, reason: str) -> None:
        self._tell(
            {"event": event, "worker": place.index, "pid": place.pid, "restarts": place.restarts, "reason": reason}
        )

    def _live(self, place: Place) -> None:
        """The child: become a worker, never return."""
        code = 1
        try:
            die_with_parent()
            self._before_run()
            name_process(f"srtpgw-w{place.index}")
            pin(place.core, self._journal)
            forbid_dumps()
            self._arena.protect()
            sockets = UdpPort(place.fds, place.doorbell, place.own, place.wildcard, place.kept)
            port = self._port(place.index, sockets)
            doorbells = [other.doorbell for other in self._places]
            Worker(self._arena, place.index, port, self._news, self._learning_ms, doorbells).run()
            code = 0
        except BaseException as error:
            self._journal.write(
                "error", "worker cannot run", worker=place.index, error=f"{type(error).__name__}: {error}"
            )
        finally:
            os._exit(code)


def backoff_ns(short_lives: int) -> int:
    """The first replacement is immediate, also for a worker that has just begun; then waits double."""
    if short_lives < 2:
        return 0
    return int(min(FIRST_WAIT_NS << min(short_lives - 2, 16), LONGEST_WAIT_NS))


def pin(core: int, journal: Journal) -> None:
    """To one core; where that is not allowed, say so and go on."""
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        journal.write("warning", "not pinned", core=core, error=str(error))


def ignore_signals() -> None:
    """A worker ends by its state word (or SIGKILL), not by the signals that a service manager sends to all."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
