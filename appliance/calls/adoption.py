"""After a restart of the control process: take over the calls that run (F1), end what cannot go on, remove what
nobody owns.

    records -> slots and ports claimed -> compared with the arena -> all commands again (they are idempotent) ->
    orphans removed

A secured stream whose contexts are gone from the arena has lost its ROC and sender index. It must not be started anew
under the same key (RFC 3711 section 9.1), so such a branch ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from appliance.calls import persistence
from appliance.calls.ledger import Ledger
from appliance.calls.registry import Branch, Call
from appliance.calls.views import EventKind
from appliance.errors import GatewayError
from appliance.placement.reconciler import Placement
from appliance.state.records import BadRecord
from appliance.state.store import Loaded

log = structlog.get_logger(__name__)

Contents = dict[int, tuple[frozenset[int], frozenset[int]]]  # worker -> flow slots, crypto slots in its tables


@dataclass(slots=True)
class Adoption:
    """What became of the records. Names are Call-IDs."""

    adopted: int = 0
    skipped: list[str] = field(default_factory=list)  # damaged, or of another version
    lost: dict[str, str] = field(default_factory=dict)  # cannot go on, and why
    orphans: int = 0  # commands that removed what no call owns


def adopt(ledger: Ledger, loaded: Loaded) -> Adoption:
    """Never raises for what the records or the arena say: a call that cannot be taken over is reported (F17)."""
    report = Adoption(skipped=list(loaded.skipped))
    workers = range(len(ledger.reconciler.inventory.workers))
    contents = {worker: ledger.reconciler.contents(worker) for worker in workers}
    for call_id, record in loaded.records.items():
        try:
            call = persistence.from_record(call_id, record, ledger.random, ledger.certificates)
        except BadRecord:
            report.skipped.append(call_id)
            ledger.store.remove(call_id)
            continue
        _adopt_call(ledger, call, contents, report)
    ledger.reconciler.mover.clean()
    for worker in workers:
        report.orphans += audit(ledger, worker, reinstall=True)
    ledger.tally.adopted, ledger.tally.records_skipped = report.adopted, len(report.skipped)
    return report


def audit(ledger: Ledger, worker: int, *, reinstall: bool) -> int:
    """Bring one worker to what the books say: its calls' commands again, and nothing else on it. How many were
    removed."""
    ledger.reconciler.dirty.discard(worker)
    placements = [
        branch.placement
        for call in ledger.registry
        for branch in call.branches
        if branch.placement is not None and worker in (branch.placement.worker, _goal(branch.placement))
    ]
    removed = ledger.reconciler.remove_orphans(worker, placements)
    if reinstall:
        for placement in placements:
            if placement.worker == worker:
                ledger.reconciler.reinstall(placement)
    return removed


def _goal(placement: Placement) -> int:
    """Where it is to be."""
    return placement.move.to if placement.move else placement.worker


def _adopt_call(ledger: Ledger, call: Call, contents: Contents, report: Adoption) -> None:
    kept = []
    for branch in call.branches:
        why = _adopt_branch(ledger, branch, contents)
        if why:
            report.lost[call.call_id] = why
        else:
            kept.append(branch)
    call.branches = kept
    if not kept:
        call.ended = True
        ledger.store.remove(call.call_id)
        ledger.tally.failed += 1
        ledger.publish(EventKind.FAILED, call, "media-lost")
        return
    if any(branch.placement and branch.placement.move for branch in kept):
        ledger.unfinished.add(call.call_id)
    ledger.registry.add(call)
    for branch in kept:
        ledger.keying.follow(call, branch)
    ledger.tally.begun(len(ledger.registry))
    ledger.count(call, call.worker)
    report.adopted += 1
    ledger.publish(EventKind.ADOPTED, call)


def _adopt_branch(ledger: Ledger, branch: Branch, contents: Contents) -> str:
    """Empty when the branch was taken over, else why not."""
    placement = branch.placement
    if placement is None or placement.worker not in contents:
        return "its worker is gone"
    if set(branch.media) != set(placement.streams):
        return "record contradicts itself"
    try:
        ledger.reconciler.adopt(placement, branch.media)
    except (GatewayError, LookupError, TypeError, ValueError) as error:
        return f"slots or ports are not free ({type(error).__name__})"
    if placement.move is None and not contents[placement.worker][1].issuperset(placement.installed.cryptos):
        ledger.reconciler.release(placement)
        return "its contexts are gone"
    return ""
