"""The figures of the whole gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from appliance.calls.ledger import Ledger
from appliance.calls.views import Statistics, WorkerView


class Identity(Protocol):
    """What is used of `service.Facts`."""

    @property
    def version(self) -> str: ...
    @property
    def cipher(self) -> str: ...
    @property
    def port(self) -> Callable[[], tuple[str, str]]: ...


def gather(ledger: Ledger, facts: Identity) -> Statistics:
    calls, tally = list(ledger.registry), ledger.tally
    port_kind, why = facts.port()
    return Statistics(
        version=facts.version,
        started=tally.started,
        uptime_s=ledger.clock() - tally.started,
        port_kind=port_kind,
        cipher=facts.cipher,
        why=why,
        draining=ledger.draining,
        calls=len(calls),
        calls_answered=sum(call.answered for call in calls),
        streams_transcoded=sum(call.transcoded for call in calls),
        calls_most=tally.most,
        calls_total=tally.total,
        calls_adopted=tally.adopted,
        calls_failed=tally.failed,
        records_skipped=tally.records_skipped,
        requests=dict(tally.requests),
        errors=dict(tally.errors),
        call_seconds_total=tally.seconds,
        calls_moved=tally.moved,
        workers=workers(ledger),
    )


def workers(ledger: Ledger) -> tuple[WorkerView, ...]:
    """Those of `gather`, without a walk through the calls: what is looked at every second."""
    return tuple(ledger.snapshots.worker(worker.index, worker.calls) for worker in ledger.reconciler.inventory.workers)
