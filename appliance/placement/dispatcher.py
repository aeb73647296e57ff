"""Commands down, replies up: the asyncio side of the rings.

An operation hands in all of its commands at once and waits once. Per worker they are carried out in the order given,
over all operations: so a slot may be given to the next call as soon as its removal was handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.errors import GatewayError, InvalidRequest, MediaUnavailable, NoCapacity
from appliance.placement.deadlines import Deadlines
from appliance.placement.doorbells import Doorbells
from appliance.turn import Turn
from kernels.control.commands import BanReply, Command, PortNews, Punt, Reply, WorkerNews
from kernels.control.errors import RingFull

RETRY_S = 0.002  # until a full ring is tried again, when no reply wakes us before
BACKLOG = 65536  # commands that wait per worker; beyond it operations are refused

# what a worker's errno means to the one who asked; anything else: MediaUnavailable
_NO_ROOM = frozenset({"ENOSPC", "ENOMEM", "EMFILE", "ENFILE"})


class Rings(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def submit(self, worker: int, command: Command, *, wake: bool = True) -> int: ...
    def wake(self, worker: int) -> None: ...
    def poll(self) -> list[Reply | Punt | WorkerNews | PortNews | BanReply]: ...


class Batch:
    """The commands of one operation, on their way. `wait` ends when all are answered."""

    __slots__ = ("_deadlines", "_done", "_left", "_look", "error", "refused", "worker")

    def __init__(self, worker: int, count: int, deadlines: Deadlines, look: Callable[[], None]) -> None:
        """`look`: for answers that are there already."""
        self.worker, self._deadlines, self._look = worker, deadlines, look
        self.error: GatewayError | None = None
        self.refused = ""  # errno name, where it was the worker that said no
        self._left = count
        self._done: asyncio.Future[None] | None = None

    async def wait(self, timeout_s: float) -> None:
        """Raises the first error of the batch; MediaUnavailable when the worker does not answer in time."""
        if self._left and self.error is None:
            self._look()
        if self._left and self.error is None:
            self._done = asyncio.get_running_loop().create_future()
            self._deadlines.add(self, timeout_s)
            try:
                await self._done
            finally:
                self._done = None
        if self.error is not None:
            raise self.error

    def answered(self, error: str) -> None:
        self._left -= 1
        if error and self.error is None:
            self.refused = error
            self.error = _verdict(self.worker, error)
        if not self._left:
            self._wake()

    def fail(self, error: GatewayError) -> None:
        self.error = self.error or error
        self._wake()

    @property
    def over(self) -> bool:
        """Nobody waits for it, or who does is about to be told: after a pause of ours replies and the end of their time
        are seen in one turn of the event loop, the replies first."""
        return self._done is None or self._done.done()

    def expire(self) -> None:
        """Its time is over."""
        self.fail(MediaUnavailable(f"worker {self.worker} does not answer"))

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class Dispatcher:
    """Feeds the command rings of all workers and hands out what comes back. Call `pump` when the plane is readable."""

    def __init__(
        self,
        rings: Rings,
        *,
        on_punt: Callable[[Punt], None] | None = None,
        on_worker: Callable[[WorkerNews], None] | None = None,
        on_command: Callable[[int, Command], None] | None = None,
        on_port: Callable[[PortNews], None] | None = None,
        on_ban: Callable[[BanReply], None] | None = None,
        turn: Turn | None = None,
    ) -> None:
        """`on_command(worker, command)` is told of every command that went down."""
        self._turn = turn or Turn()
        self._rings, self._doorbells, self._deadlines = rings, Doorbells(rings, self._turn), Deadlines()
        self._open: dict[tuple[int, int], Batch] = {}
        self._waiting: dict[int, deque[tuple[Command, Batch]]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self.on_punt, self.on_worker, self.on_command, self.on_port = on_punt, on_worker, on_command, on_port
        self.on_ban = on_ban
        self.held: Callable[[int], bool] = lambda worker: False  # datagrams wait that must leave before what we submit
        self.late_replies = 0

    def send(self, worker: int, commands: Sequence[Command]) -> Batch:
        """Hand the commands over without waiting. MediaUnavailable when too many wait already; then none is sent."""
        batch = Batch(worker, len(commands), self._deadlines, self._look)
        waiting = self._waiting.get(worker)
        if waiting and len(waiting) + len(commands) > BACKLOG:
            raise MediaUnavailable(f"worker {worker} does not keep up")
        if waiting:
            waiting.extend((command, batch) for command in commands)
        else:
            self._push(worker, deque((command, batch) for command in commands))
        return batch

    async def execute(self, worker: int, commands: Sequence[Command], timeout_s: float) -> None:
        await self.send(worker, commands).wait(timeout_s)

    def pump(self) -> None:
        """Take everything that came up, wake who waits for it, then refill the rings."""
        for news in self._rings.poll():
            if isinstance(news, Reply):
                self._answered(news)
            else:
                self._tell(news)
        self._refill()

    @property
    def waiting(self) -> int:
        """Commands that found their ring full."""
        return sum(len(queue) for queue in self._waiting.values())

    def forget(self, worker: int) -> None:
        """The ring of a worker was emptied without being read: whoever waits for it is told."""
        for key in [key for key in self._open if key[0] == worker]:
            self._open.pop(key).fail(MediaUnavailable(f"worker {worker} was replaced"))

    def _look(self) -> None:
        """What an operation of a turn of its own does instead of waiting: the workers are woken and the records written
        now, and often the answers are there then. Everything else that is there is told afterwards."""
        if not self._turn.alone:
            return
        self._turn.end()
        try:
            found = self._rings.poll()
        except ConnectionError:  # the plane stays readable: `pump` says it to who must know
            return
        for news in found:
            if isinstance(news, Reply):
                self._answered(news)
            else:
                asyncio.get_running_loop().call_soon(self._tell, news)
        self._refill()

    def _answered(self, reply: Reply) -> None:
        batch = self._open.pop((reply.worker, reply.ticket), None)
        if batch is None:
            self.late_replies += 1
        else:
            batch.answered(reply.error or "")

    def _tell(self, news: Punt | WorkerNews | PortNews | BanReply) -> None:
        if isinstance(news, WorkerNews):
            if self.on_worker:
                self.on_worker(news)
        elif isinstance(news, PortNews):
            if self.on_port:
                self.on_port(news)
        elif isinstance(news, BanReply):
            if self.on_ban:
                self.on_ban(news)
        elif self.on_punt:
            self.on_punt(news)

    def _push(self, worker: int, queue: deque[tuple[Command, Batch]]) -> None:
        """Move the queue into the ring as far as it has room, and wake the worker once; the rest waits."""
        if self._fill(worker, queue):
            self._doorbells.ring(worker)
        if queue:
            self._waiting[worker] = queue
            self._retry_later()
        else:
            self._waiting.pop(worker, None)

    def _fill(self, worker: int, queue: deque[tuple[Command, Batch]]) -> bool:
        """Whether anything was submitted."""
        submit, submitted = self._rings.submit, False
        while queue and not self.held(worker):
            command, batch = queue[0]
            try:
                self._open[worker, submit(worker, command, wake=False)] = batch
                submitted = True
                if self.on_command:
                    self.on_command(worker, command)
            except RingFull:
                break
            except ValueError as error:  # a port or address that the plane does not take; its text shows only those
                batch.fail(InvalidRequest(f"the media plane cannot do this: {error}"))
            except OSError as error:
                batch.fail(MediaUnavailable(f"worker {worker}: {error.strerror}"))
            queue.popleft()
        return submitted

    def _refill(self) -> None:
        for worker, queue in list(self._waiting.items()):
            self._push(worker, queue)

    def _retry_later(self) -> None:
        if self._retry is None:
            with contextlib.suppress(RuntimeError):  # no loop: whoever pumps by hand retries by pumping
                self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._refill()


def _verdict(worker: int, error: str) -> GatewayError:
    if error in _NO_ROOM:
        return NoCapacity(f"worker {worker} has no room ({error})")
    return MediaUnavailable(f"worker {worker} refused a command ({error})")
