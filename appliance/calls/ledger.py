"""The books of all calls and the steps every operation is made of: find and lock, carry out, save, tell, end, undo.

One change of a call: the worker is commanded, the record is written while it works, then one wait. When anything
fails the branch is as it was before, in the worker, in the books and in the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from appliance.calls import persistence, subscribing
from appliance.calls.keyed import overlaid, pruned
from appliance.calls.media import LegMedia, StreamMedia
from appliance.calls.negotiation import Negotiation
from appliance.calls.negotiation_dtls import Certificates
from appliance.calls.registry import Branch, Call, Registry, Treatment
from appliance.calls.snapshots import Snapshots
from appliance.calls.tally import Tally
from appliance.calls.views import CallEvent, CallView, EventKind
from appliance.errors import Draining, GatewayError, NoCapacity, UnknownCall
from appliance.placement.reconciler import Placement, Reconciler
from appliance.state import records
from appliance.telemetry.bus import EventBus
from appliance.values import changed


class Records(Protocol):
    """What is used of `appliance.state.store.CallStore`."""

    def put(self, name: str, record: bytes) -> None: ...
    def remove(self, name: str) -> None: ...
    def flush(self) -> None: ...


class Followers(Protocol):
    """Who follows the media of calls beside the workers (`appliance.calls.keying`)."""

    def follow(self, call: Call, branch: Branch) -> None:
        """Its media or its places have changed. Before the worker has obeyed, and again if it did not."""

    def leave(self, branch: Branch) -> None:
        """It has ended."""


class Nobody:
    """No follower."""

    def follow(self, call: Call, branch: Branch) -> None:
        pass

    def leave(self, branch: Branch) -> None:
        pass


class Ledger:
    """All calls. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        reconciler: Reconciler,
        store: Records,
        snapshots: Snapshots,
        *,
        random: Callable[[int], bytes],
        clock: Callable[[], float],
        most_calls: int,
        certificates: Certificates | None = None,
    ) -> None:
        self.registry = Registry()
        self.bus = EventBus[CallEvent]()
        self.on_ended: list[Callable[[CallEvent], None]] = []  # who asks for no other views: call records, hangups
        self.keying: Followers = Nobody()
        self.tally = Tally(clock())
        self.draining = False
        self.unfinished: set[str] = set()  # Call-IDs whose move to another worker is not decided yet
        self.reconciler, self.snapshots, self.store = reconciler, snapshots, store
        self.random, self.clock, self.most_calls = random, clock, most_calls
        self.certificates = certificates

    # ---------------------------------------------------------------- find and lock

    async def locked(self, call_id: str) -> Call | None:
        """The call, locked; one that ended while we waited is no call."""
        while (call := self.registry.get(call_id)) is not None:
            await call.lock.acquire()
            if not call.ended:
                return call
            call.lock.release()
        return None

    async def existing(self, call_id: str) -> Call:
        """UnknownCall."""
        call = await self.locked(call_id)
        if call is None:
            raise UnknownCall("Call-ID not found or tags didn't match")
        return call

    async def begin(self, call_id: str, label: str) -> Call:
        """A new call, locked, and in the registry so that whoever comes next waits for it. Draining, NoCapacity."""
        if self.draining:
            raise Draining("this gateway takes no new calls")
        if len(self.registry) >= self.most_calls:
            raise NoCapacity("as many calls as configured are up")
        now = self.clock()
        call = Call(call_id, now, now, label)
        await call.lock.acquire()
        self.registry.add(call)
        self.tally.begun(len(self.registry))
        return call

    def unlock(self, call: Call) -> None:
        """A call that is left without a branch (its only offer failed) is none."""
        if not call.branches and not call.ended:
            call.ended = True
            self.tally.failed += 1
            self.forget(call)
            self.publish(EventKind.FAILED, call, call.failure)
        call.lock.release()

    # ---------------------------------------------------------------- change

    async def carry_out(
        self, call: Call, branch: Branch, streams: dict[int, StreamMedia], *, negotiated: bool = True
    ) -> None:
        """Bring the worker to `streams`, and to the copies of them that are subscribed to. A new control process that
        finds the record before the worker was done brings the two together. `negotiated`: false where the negotiation
        is as it was (writing it down is half the work)."""
        placement = placed(branch)
        own = {line: media for line, media in streams.items() if media.copies_of is None}
        streams = _with_copies(branch, _treated(branch, overlaid(own, branch.keyed, branch.pairs)))
        change = self.reconciler.apply(placement, streams)
        media, saved = branch.media, branch.saved
        branch.take_media(streams)
        if negotiated:
            branch.saved = records.encode(branch.negotiation.to_record()) if branch.negotiation else None
        call.changed, call.revision = self.clock(), call.revision + 1
        self.count(call, placement.worker)
        self.keying.follow(call, branch)
        self.save(call)
        try:
            freed = await self.reconciler.settle(change)
        except BaseException:
            branch.media, branch.saved = media, saved
            self.keying.follow(call, branch)
            raise
        pruned(streams, branch.keyed, branch.pairs)
        if freed:
            self.save(call)

    @contextmanager
    def attempt(self, call: Call, branch: Branch) -> Iterator[None]:
        """Undo what a failed step did to the branch; one that was never up, or that is lost, disappears."""
        tags, was_up = (branch.to_tag, branch.answered, branch.offerer_tag), bool(branch.media)
        codecs = dict(branch.codecs)
        try:
            yield
        except BaseException as error:
            branch.to_tag, branch.answered, branch.offerer_tag = tags
            branch.codecs = codecs
            call.failure = error.reason if isinstance(error, GatewayError) else "internal"
            if was_up and placed(branch).streams:
                self._restore(branch)
                self.save(call)
            else:
                self._drop(call, branch)
            raise

    def _restore(self, branch: Branch) -> None:
        self.reconciler.trim(placed(branch), branch.media)
        if branch.saved is not None:
            saved = json.loads(branch.saved)
            branch.negotiation = Negotiation.from_record(saved, self.random, self.certificates)

    def _drop(self, call: Call, branch: Branch) -> None:
        self.keying.leave(branch)
        if branch.placement is not None:
            self.reconciler.release(branch.placement)
        call.branches.remove(branch)
        if call.branches:
            self.save(call)

    # ---------------------------------------------------------------- end

    def end(self, call: Call, branches: Sequence[Branch], reason: str, kind: EventKind = EventKind.ENDED) -> CallView:
        """Take branches down; the call ends with its last one. Final counters. The caller holds the lock."""
        call.ended = len(branches) == len(call.branches)
        call.changed, call.revision = self.clock(), call.revision + 1
        view = self.snapshots.call(call, branches)
        for branch in branches:
            self.keying.leave(branch)
            if branch.placement is not None:
                self.reconciler.release(branch.placement)
        if not call.ended:
            call.branches = [branch for branch in call.branches if branch not in branches]
            self.save(call)
            self.publish(EventKind.UPDATED, call, reason)
            return view
        self.forget(call)
        self.tally.seconds += max(0.0, call.changed - call.created)
        event = CallEvent(kind, call.changed, call.call_id, view, reason)
        self.bus.publish(event)
        for told in self.on_ended:
            told(event)
        return view

    def forget(self, call: Call) -> None:
        self.count(call, None)
        self.registry.remove(call)
        self.store.remove(call.call_id)

    # ---------------------------------------------------------------- books

    def save(self, call: Call) -> None:
        self.store.put(call.call_id, persistence.to_record(call))

    def count(self, call: Call, worker: int | None) -> None:
        """Count the call on its worker, once; None: no longer."""
        if call.counted_on == worker:
            return
        workers = self.reconciler.inventory.workers
        if call.counted_on is not None:
            workers[call.counted_on].calls -= 1
        if worker is not None:
            workers[worker].calls += 1
        call.counted_on = worker

    def publish(self, kind: EventKind, call: Call, reason: str = "") -> None:
        if self.bus:
            self.bus.publish(self.event(kind, call, reason))

    def event(self, kind: EventKind, call: Call, reason: str = "") -> CallEvent:
        return CallEvent(kind, self.clock(), call.call_id, self.snapshots.call(call), reason)


def placed(branch: Branch) -> Placement:
    """The placement of a branch that has one by now."""
    if branch.placement is None:
        raise RuntimeError("branch without placement")
    return branch.placement


def _treated(branch: Branch, streams: dict[int, StreamMedia]) -> dict[int, StreamMedia]:
    """What was asked for a party holds for all of its streams, also those of later offers."""
    a, b = branch.treatments["a"], branch.treatments["b"]
    if not a and not b:
        return streams
    return {line: changed(media, a=_treat_leg(media.a, a), b=_treat_leg(media.b, b)) for line, media in streams.items()}


def _with_copies(branch: Branch, streams: dict[int, StreamMedia]) -> dict[int, StreamMedia]:
    """Copies of a stream that is no more end with it, for good: their ports are gone."""
    copies = {
        line: media
        for subscription in branch.subscriptions.values()
        for line, media in subscribing.media(subscription).items()
        if media.copies_of in streams and line in placed(branch).streams
    }
    return {**streams, **copies} if copies else streams


def _treat_leg(leg: LegMedia, treatment: Treatment) -> LegMedia:
    return changed(leg, blocked=leg.blocked or treatment.blocked, echo=leg.echo or treatment.echo)
