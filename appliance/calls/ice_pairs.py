"""Pairs that full ICE agents have selected, into calls: under the lock of the call, once for all that changed."""

from __future__ import annotations

import asyncio

import structlog

from appliance.calls.keyed import Seat
from appliance.calls.ledger import Ledger
from appliance.calls.media import Address
from appliance.calls.registry import Branch, Call
from appliance.calls.views import EventKind
from appliance.errors import GatewayError

log = structlog.get_logger(__name__)


class Pairs:
    """Writes `Branch.pairs` and has the worker follow. The newest wish counts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._wanted: dict[Call, dict[tuple[Branch, Seat], Address | None]] = {}
        self._tasks: dict[Call, asyncio.Task[None]] = {}

    def select(self, call: Call, branch: Branch, seat: Seat, far: Address | None) -> None:
        """Media of this component goes there; None: nowhere."""
        self._wanted.setdefault(call, {})[branch, seat] = far
        if call not in self._tasks:
            self._tasks[call] = task = asyncio.get_running_loop().create_task(self._work(call))
            task.add_done_callback(lambda _: self._tasks.pop(call, None))

    def tell(self, call: Call, kind: EventKind, reason: str) -> None:
        self._ledger.publish(kind, call, reason)

    def tick(self) -> None:
        """What could not be done then (a call on its way to another worker) is tried again."""
        for call in list(self._wanted):
            if call.ended:
                del self._wanted[call]
            elif call not in self._tasks:
                (branch, seat), far = next(iter(self._wanted[call].items()))
                self.select(call, branch, seat, far)

    async def _work(self, call: Call) -> None:
        async with call.lock:
            while not call.ended and (wanted := self._wanted.pop(call, None)):
                for branch in dict.fromkeys(branch for branch, _ in wanted):
                    mine = {seat: far for (one, seat), far in wanted.items() if one is branch}
                    if branch in call.branches and not await self._carry_out(call, branch, mine):
                        late = {(branch, seat): far for seat, far in mine.items()}
                        self._wanted[call] = late | self._wanted.get(call, {})
                        return

    async def _carry_out(self, call: Call, branch: Branch, wanted: dict[Seat, Address | None]) -> bool:
        before = dict(branch.pairs)
        for seat, far in wanted.items():
            if far is None:
                branch.pairs.pop(seat, None)
            else:
                branch.pairs[seat] = far
        if branch.pairs == before:
            return True
        try:
            await self._ledger.carry_out(call, branch, branch.own_media)
        except GatewayError as error:
            branch.pairs = before
            log.warning("ICE pair not installed", call_id=call.call_id, why=str(error))
            return False
        self._ledger.publish(EventKind.UPDATED, call, "ice-pair")
        return True
