"""Bans to the media holder, which keeps them in the kernel: what is wanted is carried there in order, a few messages
at a time, and said all over again when an answer stays away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from kernels.control.ban_table import FOREVER, Network
from kernels.control.bans import MOST_OF_A_MESSAGE
from kernels.control.commands import BanReply
from kernels.control.errors import RingFull

WINDOW = 4  # messages without an answer yet
PATIENCE_S = 5.0  # an answer that takes longer is lost

log = structlog.get_logger("srtpgw.bans")


class Holder(Protocol):
    """What is used of `kernels.control.plane.MediaPlane`."""

    def ban(self, bans: Sequence[tuple[Network, float | None]]) -> int: ...
    def unban(self, networks: Sequence[Network]) -> int: ...
    def count_bans(self, networks: Sequence[Network]) -> int: ...
    def guard_ports(self, ports: Iterable[int]) -> int: ...
    def begin_bans(self) -> int: ...
    def end_bans(self) -> int: ...


class KernelBans:
    """`start` with all bans, then `change` by network; `answered` hears every BanReply, `tick` the time."""

    def __init__(self, holder: Holder, ports: Iterable[int], clock: Callable[[], float] = time.time) -> None:
        self._holder, self._ports, self._clock = holder, frozenset(ports), clock
        self._wanted: dict[Network, float] = {}  # network -> end
        self._lifted: dict[Network, None] = {}  # in order; the holder does not know yet
        self._banned: dict[Network, None] = {}
        self._steps: deque[Callable[[], int]] = deque([self._guard])  # before the changes
        self._ending = False  # end_bans is due when no change is left
        self._open: dict[int, float] = {}  # ticket -> when it was asked
        self._questions: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self.state = BanReply(0, "")  # as of the last answer
        self.why = ""  # what the holder could not do

    def start(self, bans: Iterable[tuple[Network, float]]) -> None:
        """(network, end in seconds since the epoch) of all: what the holder has beside them ends."""
        self._wanted = dict(bans)
        self._say_all()

    def change(self, network: Network, end: float | None) -> None:
        """Ban until `end`, or lift (None)."""
        if end is None:
            self._wanted.pop(network, None)
        else:
            self._wanted[network] = end
        now, no_more = (self._lifted, self._banned) if end is None else (self._banned, self._lifted)
        no_more.pop(network, None)
        now.pop(network, None)
        now[network] = None

    def forget(self, network: Network) -> None:
        """It is over; the holder knows by itself."""
        self._wanted.pop(network, None)

    def pump(self) -> None:
        """Send as much as may be on its way."""
        try:
            while len(self._open) < WINDOW and self._send():
                pass
        except RingFull:
            return  # at the next answer or tick
        except OSError as error:  # the holder is gone: this process ends soon
            self.why = error.strerror or str(error)

    def answered(self, reply: BanReply) -> None:
        self._open.pop(reply.ticket, None)
        self.state = reply
        question = self._questions.pop(reply.ticket, None)
        if question is not None and not question.done():
            question.set_result(reply.dropped)
        if reply.error and reply.error != self.why:
            log.warning("bans not in the kernel", why=reply.error, count=len(reply.failed))
        if reply.error or reply.failed:
            self.why = reply.error
        self.pump()

    def tick(self) -> None:
        """Once a second: a message or an answer that was lost makes us say everything again."""
        now = self._clock()
        if any(now - asked > PATIENCE_S for asked in self._open.values()):
            log.warning("the media holder does not answer about bans; saying all of them again")
            self._open.clear()
            self._say_all()
        self.pump()

    def look(self) -> None:
        """Ask for the sums of what was dropped; they are in `state` when the answer has come."""
        with contextlib.suppress(RingFull, OSError):  # at the next look
            self._note(self._holder.count_bans(()))

    async def dropped(self, networks: Sequence[Network]) -> list[int]:
        """Packets dropped by each; zeros when the holder does not answer."""
        counts: list[int] = []
        for part in _parts(networks):
            counts += await self._count(part)
        return counts

    def settled(self) -> bool:
        """The holder has everything."""
        return not (self._open or self._steps or self._lifted or self._banned or self._ending)

    async def _count(self, networks: list[Network]) -> Sequence[int]:
        answer: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()
        ticket = 0
        try:
            ticket = self._holder.count_bans(networks)
            self._questions[ticket] = answer
            async with asyncio.timeout(PATIENCE_S):
                counts = await answer
        except (TimeoutError, RingFull, OSError):
            counts = ()
        finally:
            self._questions.pop(ticket, None)
        return counts if len(counts) == len(networks) else [0] * len(networks)

    def _say_all(self) -> None:
        self._steps = deque([self._guard, self._holder.begin_bans])
        self._lifted, self._banned = {}, dict.fromkeys(self._wanted)
        self._ending = True

    def _guard(self) -> int:
        return self._holder.guard_ports(self._ports)

    def _send(self) -> bool:
        """One message. RingFull, OSError: nothing was sent."""
        if self._steps:
            self._note(self._steps[0]())
            self._steps.popleft()
        elif self._lifted:  # first: they make room
            part = _take(self._lifted)
            self._note(self._holder.unban(part))
            _forget(self._lifted, part)
        elif self._banned:
            part, now = _take(self._banned), self._clock()
            self._note(self._holder.ban([(network, _left(self._wanted.get(network, now), now)) for network in part]))
            _forget(self._banned, part)
        elif self._ending:
            self._note(self._holder.end_bans())
            self._ending = False
        else:
            return False
        return True

    def _note(self, ticket: int) -> None:
        self._open[ticket] = self._clock()


def _take(waiting: Iterable[Network]) -> list[Network]:
    """What goes into one message."""
    return list(itertools.islice(waiting, MOST_OF_A_MESSAGE))


def _forget(waiting: dict[Network, None], said: Iterable[Network]) -> None:
    for network in said:
        del waiting[network]


def _left(end: float, now: float) -> float | None:
    return None if end == FOREVER else max(0.0, round(end - now, 3))


def _parts(networks: Sequence[Network]) -> Iterator[list[Network]]:
    for start in range(0, len(networks), MOST_OF_A_MESSAGE):
        yield list(networks[start : start + MOST_OF_A_MESSAGE])
