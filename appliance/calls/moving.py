"""A call moves to another worker while its media flows: all of its branches, or none.

The plan is saved before the first command and the result before the transfer records are given up, so a control
process that dies in between is followed by one that carries the same plan out (`finish`).
"""

from __future__ import annotations

import structlog

from appliance.calls.ledger import Ledger
from appliance.calls.registry import Call
from appliance.calls.views import EventKind
from appliance.errors import GatewayError, InvalidRequest, MediaUnavailable
from appliance.placement.mover import MoveLost, MoveRefused
from appliance.placement.reconciler import Placement

log = structlog.get_logger(__name__)


async def move(ledger: Ledger, call: Call, worker: int) -> None:
    """The caller holds the call's lock. NoCapacity, InvalidRequest: nothing changed. MediaUnavailable: a worker does
    not answer; the move is carried out as soon as it does. MoveLost: the call has ended."""
    placements = _placements(call)
    if not placements:
        raise InvalidRequest("the call has no media yet", "call_id")
    if any(placement.move for placement in placements):
        raise MediaUnavailable("the call is on its way already")
    if all(placement.worker == worker for placement in placements):
        return
    _plan(ledger, placements, worker)
    ledger.unfinished.add(call.call_id)
    ledger.save(call)
    ledger.store.flush()
    await _carry_out(ledger, call)


async def finish(ledger: Ledger) -> None:
    """Moves that a dead control process, or a worker that did not answer, left undecided."""
    for call_id in list(ledger.unfinished):
        call = await ledger.locked(call_id)
        if call is None:
            ledger.unfinished.discard(call_id)
            continue
        try:
            if call_id in ledger.unfinished:  # else whoever held the lock has decided it
                await _carry_out(ledger, call)
        except GatewayError as error:
            log.warning("move not finished", call_id=call_id, why=str(error))
        finally:
            ledger.unlock(call)


def _placements(call: Call) -> list[Placement]:
    return [branch.placement for branch in call.branches if branch.placement is not None]


def _plan(ledger: Ledger, placements: list[Placement], worker: int) -> None:
    mover = ledger.reconciler.mover
    planned: list[Placement] = []
    try:
        for placement in placements:
            mover.plan(placement, worker)
            planned.append(placement)
    except GatewayError:
        for placement in planned:
            mover.abandon(placement)
        raise


async def _carry_out(ledger: Ledger, call: Call) -> None:
    """Drive the plan of a call to its end, whichever that is."""
    mover = ledger.reconciler.mover
    placements = [placement for placement in _placements(call) if placement.move]
    try:
        await mover.drive(placements)
    except MoveRefused:
        for placement in placements:
            mover.abandon(placement)
        _decided(ledger, call)
        raise
    except MoveLost:
        ledger.unfinished.discard(call.call_id)
        ledger.tally.failed += 1
        ledger.end(call, list(call.branches), "media-lost", EventKind.FAILED)
        raise
    trips = []
    for branch in call.branches:
        if branch.placement is not None and branch.placement.move is not None:
            left, flows = branch.placement.worker, list(branch.placement.installed.flows)
            trips += mover.commit(branch.placement)
            ledger.reconciler.know(branch.placement, branch.media)
            ledger.reconciler.follow(branch.placement, left, flows)
            ledger.keying.follow(call, branch)
    call.changed, call.revision = ledger.clock(), call.revision + 1
    ledger.count(call, call.worker)
    _decided(ledger, call)
    ledger.tally.moved += 1
    ledger.publish(EventKind.MOVED, call)
    await mover.close(trips)


def _decided(ledger: Ledger, call: Call) -> None:
    ledger.unfinished.discard(call.call_id)
    ledger.save(call)
    ledger.store.flush()
