"""What is done from time to time: calls that nobody answers, that fall silent or that a peer has left end; workers are
measured and audited, keys watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from appliance.calls import adoption, moving
from appliance.calls.draining import Draining
from appliance.calls.key_watch import KeyWatch
from appliance.calls.ledger import Ledger
from appliance.calls.registry import Branch, Call
from appliance.calls.views import CallEvent, EventKind
from kernels.control.commands import PortNews, WorkerNews

SLICE = 250  # calls looked at per tick, so that a tick never holds up set-ups

log = structlog.get_logger(__name__)


class Housekeeping:
    """Call `tick` about once a second. `now_ns` is CLOCK_MONOTONIC. A time-out of 0 means never."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        silence_s: Callable[[], float],
        offer_s: Callable[[], float],
        now_ns: Callable[[], int] = time.monotonic_ns,
        draining: Draining | None = None,
        keys: KeyWatch | None = None,
    ) -> None:
        self._ledger, self._now_ns, self._draining, self._keys = ledger, now_ns, draining, keys
        self._finishing: asyncio.Task[None] | None = None
        self._silence_s, self._offer_s = silence_s, offer_s
        self._queue: list[Call] = []

    def tick(self) -> None:
        """Measure workers, audit those in doubt, look at the next slice of calls."""
        reconciler = self._ledger.reconciler
        for worker in reconciler.inventory.workers:
            self._ledger.snapshots.measure(worker.index)
        for index in list(reconciler.dirty):
            adoption.audit(self._ledger, index, reinstall=True)
        if self._draining:
            self._draining.tick()
        self.finish_moves()
        if not self._queue:
            self._queue = list(self._ledger.registry)
            if self._keys:
                self._keys.prune()
        look_at, self._queue = self._queue[:SLICE], self._queue[SLICE:]
        for call in look_at:
            if not call.ended and not call.lock.locked():
                self._look_at(call)

    def finish_moves(self) -> None:
        """Moves that nobody has decided yet, in the background."""
        if self._ledger.unfinished and (self._finishing is None or self._finishing.done()):
            self._finishing = asyncio.get_running_loop().create_task(moving.finish(self._ledger))

    def worker_news(self, news: WorkerNews) -> None:
        """A worker was lost or came up: place nothing on it meanwhile; afterwards tell it everything again."""
        came_up = news.event == "started"
        self._ledger.reconciler.inventory[news.worker].available = came_up
        log.warning("worker " + ("replaced" if came_up else "lost"), worker=news.worker, reason=news.reason)
        if came_up:
            adoption.audit(self._ledger, news.worker, reinstall=True)
        self._ledger.bus.publish(
            CallEvent(EventKind.WORKER, self._ledger.clock(), reason=f"{news.event}: {news.reason}", worker=news.worker)
        )

    def port_news(self, news: PortNews) -> None:
        """Another way carries packets now: nothing to do, much to say."""
        log.warning("port", reason=news.reason, device=news.device, kind=news.kind)
        self._ledger.bus.publish(CallEvent(EventKind.WORKER, self._ledger.clock(), reason=news.reason))

    def _look_at(self, call: Call) -> None:
        offer_s, silence_s = self._offer_s(), self._silence_s()
        waiting = [branch for branch in call.branches if not branch.answered]
        if offer_s and waiting and self._ledger.clock() - call.changed > offer_s:
            self._ledger.end(call, waiting, "unanswered")
            return
        silent = [branch for branch in call.branches if silence_s and self._is_silent(call, branch, silence_s)]
        if silent:
            self._ledger.publish(EventKind.SILENT, call, "silence")
            self._ledger.end(call, silent, "silence")
        gone = [branch for branch in call.branches if silence_s and not call.ended and self._is_gone(branch, silence_s)]
        if gone:
            self._ledger.end(call, gone, "consent-lost")
        if self._keys and not call.ended:
            self._keys.look_at(call)

    def _is_gone(self, branch: Branch, limit_s: float) -> bool:
        """A peer that has shown no sign of life for so long, on hold or not: a closed page, a network that is away. The
        other one may well go on talking."""
        lost_ns = self._ledger.snapshots.consent_lost_ns(branch)
        return branch.answered and lost_ns > 0 and self._now_ns() - lost_ns > limit_s * 1e9

    def _is_silent(self, call: Call, branch: Branch, limit_s: float) -> bool:
        """No packet on any flow for so long, though somebody may send (F25: a call on hold is not silent)."""
        if not branch.answered or not any(m.a.may_send or m.b.may_send for m in branch.media.values()):
            return False
        if self._ledger.clock() - call.changed <= limit_s:
            return False
        return self._now_ns() - self._ledger.snapshots.last_packet_ns(branch) > limit_s * 1e9
