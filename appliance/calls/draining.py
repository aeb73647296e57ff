"""Emptying a worker: it takes no new calls, and those it has move to others, one after the other, at a bounded pace.

Where no other worker has room the calls stay and end in their own time; the note says so.
"""

from __future__ import annotations

import asyncio

import structlog

from appliance.calls import moving
from appliance.calls.ledger import Ledger
from appliance.calls.registry import Call
from appliance.calls.views import CallEvent, EventKind
from appliance.errors import GatewayError, InvalidRequest, NoCapacity
from appliance.placement.placer import Need
from appliance.state.drained import DrainedWorkers

PACE_S = 0.005  # between two calls: their set-ups go first

log = structlog.get_logger(__name__)


class Draining:
    """Call `tick` about once a second."""

    def __init__(self, ledger: Ledger, wanted: DrainedWorkers) -> None:
        self._ledger, self._wanted = ledger, wanted
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
        if self._task is None or self._task.done():
            due = [worker.index for worker in self._ledger.reconciler.inventory.workers if worker.drained]
            self._task = asyncio.get_running_loop().create_task(self._empty(due)) if due else None

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

    async def _move(self, call: Call, worker: int) -> None:
        ledger = self._ledger
        await call.lock.acquire()
        try:
            if not call.ended and call.worker == worker and call.call_id not in ledger.unfinished:
                await moving.move(ledger, call, ledger.reconciler.inventory.choose(_need(call)))
        finally:
            ledger.unlock(call)


def _need(call: Call) -> Need:
    """Slots for all of its branches; its ports it keeps."""
    streams = [placed for branch in call.branches if branch.placement for placed in branch.placement.streams.values()]
    interfaces = {name for placed in streams for name in (placed.interface_a, placed.interface_b)}
    return Need(
        flows=sum(len(placed.flows) for placed in streams),
        cryptos=sum(len(placed.cryptos) for placed in streams),
        ports=dict.fromkeys(interfaces, 0),
    )
