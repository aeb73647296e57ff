"""Calls that move without being asked, one after the other, at a bounded pace: emptying a worker (it takes no new
calls, those it has move to others), and, where it is wished, evening out load.

Where no other worker has room the calls stay and end in their own time; the note says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from appliance.calls import moving
from appliance.calls.ledger import Ledger
from appliance.calls.registry import Call
from appliance.calls.views import CallEvent, EventKind
from appliance.errors import GatewayError, InvalidRequest, NoCapacity
from appliance.placement.balance import Balance, Shift
from appliance.placement.placer import Need
from appliance.state.drained import DrainedWorkers

PACE_S = 0.005  # between two calls: their set-ups go first

log = structlog.get_logger(__name__)


class Draining:
    """Call `tick` about once a second."""

    def __init__(self, ledger: Ledger, wanted: DrainedWorkers, rebalance: Callable[[], bool] = lambda: False) -> None:
        self._ledger, self._wanted, self._rebalance = ledger, wanted, rebalance
        self._balance = Balance()
        self._task: asyncio.Task[None] | None = None
        for worker in ledger.reconciler.inventory.workers:
            worker.drained = worker.index in wanted

    def set(self, worker: int, drained: bool) -> None:
        """InvalidRequest: no such worker."""
        inventory = self._ledger.reconciler.inventory
        if not 0 <= worker < len(inventory.workers):
            raise InvalidRequest(f"there is no worker {worker}", "worker")
        self._wanted.set(worker, drained)
        inventory[worker].drained = drained
        inventory[worker].note = ""
        reason = "drained by the operator" if drained else "takes calls again"
        self._ledger.bus.publish(CallEvent(EventKind.WORKER, self._ledger.clock(), reason=reason, worker=worker))
        self.tick()

    def tick(self) -> None:
        workers = self._ledger.reconciler.inventory.workers
        shift = self._balance.look([worker.load() for worker in workers]) if self._rebalance() else None
        if self._task is None or self._task.done():
            due = [worker.index for worker in workers if worker.drained]
            if due:
                self._task = asyncio.get_running_loop().create_task(self._empty(due))
            elif shift is not None:
                self._task = asyncio.get_running_loop().create_task(self._even_out(shift))

    async def _even_out(self, shift: Shift) -> None:
        """As many as there are to move, unless one is refused: the next look decides anew."""
        calls = [call for call in self._ledger.registry if call.worker == shift.source][: shift.calls]
        log.info("calls move to even out load", source=shift.source, to=shift.to, calls=len(calls))
        for call in calls:
            try:
                await self._move(call, shift.source, shift.to)
            except GatewayError as error:
                log.warning("evening out stopped", why=str(error))
                return
            await asyncio.sleep(PACE_S)

    async def _empty(self, workers: list[int]) -> None:
        for worker in workers:
            try:
                await self._move_away(worker)
            except Exception as error:  # a mistake of ours must not end the task without a word
                log.error("draining failed", worker=worker, error=type(error).__name__)

    async def _move_away(self, worker: int) -> None:
        inventory = self._ledger.reconciler.inventory[worker]
        inventory.note = ""
        for call in [call for call in self._ledger.registry if call.worker == worker]:
            if not inventory.drained:
                return
            try:
                await self._move(call, worker)
            except NoCapacity as error:
                inventory.note = f"waits for {inventory.calls} calls to end: {error}"
                return
            except GatewayError as error:
                inventory.note = f"a call could not be moved: {error}"
            await asyncio.sleep(PACE_S)

    async def _move(self, call: Call, worker: int, to: int | None = None) -> None:
        """Away from `worker`, to `to` or where the placer says."""
        ledger = self._ledger
        await call.lock.acquire()
        try:
            if not call.ended and call.worker == worker and call.call_id not in ledger.unfinished:
                goal = ledger.reconciler.inventory.choose(_need(call)) if to is None else to
                await moving.move(ledger, call, goal)
        finally:
            ledger.unlock(call)


def _need(call: Call) -> Need:
    """Slots for all of its branches; its ports it keeps."""
    streams = [placed for branch in call.branches if branch.placement for placed in branch.placement.streams.values()]
    interfaces = {name for placed in streams for name, _ in placed.ends}
    return Need(
        flows=sum(len(placed.flows) for placed in streams),
        cryptos=sum(len(placed.cryptos) for placed in streams),
        ports=dict.fromkeys(interfaces, 0),
    )
