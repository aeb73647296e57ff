"""What every face drives: offers, answers, deletes, low-level sessions, and what can be seen of them.

An operation: lock the call -> negotiate (pure) -> place -> command and save (`ledger`) -> tell the watchers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType

import structlog

from appliance.calls import diagnosing, keying_log, moving, statistics, switching
from appliance.calls.draining import Draining
from appliance.calls.keyframes import Keyframes
from appliance.calls.ledger import Ledger, Records
from appliance.calls.media import LocalPorts, StreamMedia, StreamPlacement
from appliance.calls.media_control import MediaControl
from appliance.calls.names import check_names
from appliance.calls.negotiation import Negotiation, OfferPlan
from appliance.calls.negotiation_dtls import Certificates
from appliance.calls.registry import Branch, Call
from appliance.calls.sessions import Sessions
from appliance.calls.snapshots import Snapshots
from appliance.calls.subscribing import codecs
from appliance.calls.tally import Tally
from appliance.calls.trickling import Trickling
from appliance.calls.views import (
    AnswerRequest,
    CallEvent,
    CallView,
    EventKind,
    OfferRequest,
    SdpReply,
    SessionRequest,
    Statistics,
)
from appliance.calls.wished import as_wished
from appliance.diagnosis.causes import Finding
from appliance.diagnosis.diagnose import diagnose
from appliance.errors import CallExists, GatewayError, NoCapacity, NotAcceptable, UnknownCall
from appliance.placement.reconciler import Placement, Reconciler
from appliance.protocols.ice import trickle
from appliance.state.drained import DrainedWorkers

MOST_BRANCHES = 32

log = structlog.get_logger(__name__)
_journal = logging.getLogger(__name__)  # asked at every step of a call: `log` is made anew for each question


@dataclass(frozen=True, slots=True)
class Facts:
    """What the service must know of this gateway and cannot find out."""

    version: str = ""
    cipher: str = ""
    port: Callable[[], tuple[str, str]] = lambda: ("", "")  # kind that carries packets now, and why port and cipher
    default_interface: str = "default"
    advertised: Mapping[str, str] = field(default_factory=dict)  # interface -> address for SDP, where it is another one
    most_calls: int = 1_000_000


class CallService:
    """The calls of this gateway. Raises `appliance.errors.GatewayError` and nothing else. One event loop, no
    threads."""

    def __init__(
        self,
        reconciler: Reconciler,
        store: Records,
        snapshots: Snapshots,
        facts: Facts,
        *,
        random: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.time,
        drained: DrainedWorkers | None = None,
        rebalance: Callable[[], bool] = lambda: False,
        key_log: Callable[[str, keying_log.Keyed], None] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """`key_log` is told the Call-ID and keys of each new context: for a file that an operator asked for. Without
        `certificates` there is no DTLS-SRTP."""
        self._facts, self._key_log = facts, key_log
        self._reconciler, self._snapshots, self._random = reconciler, snapshots, random
        self.ledger = Ledger(
            reconciler, store, snapshots, random=random, clock=clock, most_calls=facts.most_calls,
            certificates=certificates,
        )  # fmt: skip
        self.control = MediaControl(self.ledger, facts, self._operation)
        self.drains = Draining(self.ledger, drained or DrainedWorkers(), rebalance)
        self.trickling = Trickling()
        self.keyframes: Keyframes | None = None  # set once there is a way to the media plane
        self._sessions = Sessions(self.ledger, facts.default_interface, self._carry_out)

    # ---------------------------------------------------------------- SDP

    async def offer(self, request: OfferRequest) -> SdpReply:
        """First offer, repeated offer, re-INVITE by either party, or a further branch of a forked call."""
        with self._operation("offer"):
            check_names(request.call_id, request.from_tag, request.to_tag, request.via_branch, request.label)
            ledger = self.ledger
            call = await ledger.locked(request.call_id) or await ledger.begin(request.call_id, request.label)
            try:
                branch = call.for_offer(request.from_tag, request.to_tag, request.via_branch)
                return await self._offer(call, branch or self._new_branch(call, request), request)
            finally:
                ledger.unlock(call)

    async def answer(self, request: AnswerRequest) -> SdpReply:
        """The answer to the offer that is out. UnknownCall, InvalidSdp, NotAcceptable."""
        with self._operation("answer"):
            check_names(request.call_id, request.from_tag, request.to_tag, request.via_branch)
            call = await self.ledger.existing(request.call_id)
            try:
                branch = call.for_answer(request.from_tag, request.to_tag, request.via_branch)
                if branch is None or branch.negotiation is None:
                    raise UnknownCall("no offer with these tags is out")
                return await self._answer(call, branch, branch.negotiation, request)
            finally:
                self.ledger.unlock(call)

    async def ask_for_pictures(self, call_id: str, tag: str) -> int:
        """The party with this tag wants a whole picture; how many senders were asked. UnknownCall, NotAcceptable."""
        with self._operation("ask_for_pictures"):
            if self.keyframes is None:
                raise NotAcceptable("there is no media plane to ask by")
            return await self.keyframes.ask(call_id, tag)

    async def add_candidates(self, call_id: str, tag: str, fragment: bytes) -> bool:
        """ICE candidates that the party with this tag has found since its SDP: application/trickle-ice-sdpfrag (RFC
        8840). False: no leg fits them yet, they wait for their answer. UnknownCall, InvalidSdp."""
        with self._operation("add_candidates"):
            check_names(call_id, tag)
            read = trickle.parse(fragment)
            call = await self.ledger.existing(call_id)
            try:
                return self.trickling.take(call, tag, read)
            finally:
                self.ledger.unlock(call)

    async def delete(self, call_id: str, from_tag: str = "", to_tag: str = "", via_branch: str = "") -> CallView:
        """End the call, or the branches of it that the tags name. Final counters. UnknownCall."""
        with self._operation("delete"):
            call = await self.ledger.existing(call_id)
            try:
                branches = call.for_delete(from_tag, to_tag, via_branch)
                if not branches:
                    raise UnknownCall("Call-ID not found or tags didn't match")
                return self.ledger.end(call, branches, "deleted")
            finally:
                self.ledger.unlock(call)

    # ---------------------------------------------------------------- low level

    async def create_session(self, request: SessionRequest) -> CallView:
        """Low-level session. CallExists, NoCapacity, InvalidRequest."""
        with self._operation("create_session"):
            return await self._sessions.create(request)

    async def update_session(self, request: SessionRequest) -> CallView:
        """Replace the streams of a low-level session. UnknownCall."""
        with self._operation("update_session"):
            return await self._sessions.update(request)

    async def delete_session(self, call_id: str) -> CallView:
        return await self.delete(call_id)

    # ---------------------------------------------------------------- looking

    def get(self, call_id: str) -> CallView:
        """UnknownCall."""
        call = self.ledger.registry.get(call_id)
        if call is None or not call.revision:
            raise UnknownCall("no such call")
        return self._snapshots.call(call)

    async def why(self, call_id: str) -> tuple[Finding, ...]:
        """Why there is no audio, worst cause first. Looks only. UnknownCall."""
        with self._operation("why"):
            call = self.ledger.registry.get(call_id)
            if call is None or not call.revision:
                raise UnknownCall("no such call")
            # trial on kept packets takes milliseconds, and nobody's signalling shall wait for it
            return await asyncio.to_thread(diagnose, diagnosing.gather(call, self._snapshots))

    def list(self, limit: int, after: str = "") -> list[CallView]:
        """At most `limit` calls in order of call-id, those after call-id `after`. Cheap views: without counters."""
        return [self._snapshots.call(call, counters=False) for call in self.ledger.registry.page(limit, after)]

    def statistics(self) -> Statistics:
        return statistics.gather(self.ledger, self._facts)

    async def watch(self) -> AsyncIterator[CallEvent]:
        """SNAPSHOT per call, SYNCED, then changes. A reader that is too slow is ended (the iterator raises
        NoCapacity)."""
        ledger = self.ledger
        watcher = ledger.bus.join()
        try:
            for call in ledger.registry:
                if call.revision and not call.ended:
                    yield ledger.event(EventKind.SNAPSHOT, call)
            yield CallEvent(EventKind.SYNCED, ledger.clock())
            while (event := await watcher.get()) is not None:
                yield event
        finally:
            ledger.bus.leave(watcher)

    async def drain(self) -> None:
        """Refuse new calls from now on (Draining); existing ones go on. Returns at once."""
        self.ledger.draining = True
        self.ledger.bus.publish(CallEvent(EventKind.DRAINING, self.ledger.clock()))

    async def resume(self) -> None:
        """Take new calls again."""
        self.ledger.draining = False

    # ---------------------------------------------------------------- keys

    async def switch_key(self, call_id: str, stream: int, leg: str, mki: int) -> CallView:
        """Send towards leg "a" or "b" of a stream with its key of this MKI from now on (C06, RFC 3711 section 8.1).
        UnknownCall, InvalidRequest."""
        with self._operation("switch_key"):
            call = await self.ledger.existing(call_id)
            try:
                await switching.switch_key(self.ledger, call, stream, leg, mki)
                self.ledger.publish(EventKind.UPDATED, call, "key-switched")
                return self._snapshots.call(call)
            finally:
                self.ledger.unlock(call)

    # ---------------------------------------------------------------- where calls live

    async def move_call(self, call_id: str, worker: int) -> CallView:
        """All of a call's media to another worker, without loss. UnknownCall, NoCapacity, InvalidRequest."""
        with self._operation("move_call"):
            call = await self.ledger.existing(call_id)
            try:
                await moving.move(self.ledger, call, worker)
                return self._snapshots.call(call)
            finally:
                self.ledger.unlock(call)

    async def drain_worker(self, worker: int, drained: bool = True) -> None:
        """Empty a worker (its calls move to others), or take calls again. Returns at once. InvalidRequest."""
        with self._operation("drain_worker" if drained else "undrain_worker"):
            self.drains.set(worker, drained)

    # ---------------------------------------------------------------- steps

    async def _offer(self, call: Call, branch: Branch, request: OfferRequest) -> SdpReply:
        first, negotiation = not call.revision, branch.negotiation
        if negotiation is None:
            raise CallExists("this Call-ID names a low-level session")
        with self.ledger.attempt(call, branch):
            plan = negotiation.read_offer(request.sdp, request.options, request.from_tag)
            default = self._facts.default_interface
            legs = [(need.line, need.interface_a or default, need.interface_b or default) for need in plan.streams]
            if branch.placement is None:
                branch.placement = self._reconciler.reserve(legs, call.worker)
            else:
                self._reconciler.extend(branch.placement, legs)
            negotiated = negotiation.write_offer(plan, self._ports(branch.placement, plan))
            branch.offerer_tag = request.from_tag
            branch.codecs["b" if plan.offerer == "a" else "a"] = codecs(negotiated.sdp)
            await self._carry_out(call, branch, as_wished(branch, negotiated, request.options))
        self.ledger.publish(EventKind.CREATED if first else EventKind.UPDATED, call)
        if negotiated.unavailable:
            log.info("not to be had", call=call.call_id, wishes=negotiated.unavailable)
        return SdpReply(negotiated.sdp, call.call_id, request.options.unknown, negotiated.unavailable)

    async def _answer(self, call: Call, branch: Branch, negotiation: Negotiation, request: AnswerRequest) -> SdpReply:
        first = not branch.answered
        with self.ledger.attempt(call, branch):
            negotiated = negotiation.answer(request.sdp, request.options, to_tag=request.to_tag)
            if branch.offerer_tag == branch.from_tag:
                branch.to_tag = request.to_tag
            branch.answered = True
            branch.codecs["a" if branch.offerer_tag == branch.from_tag else "b"] = codecs(negotiated.sdp)
            await self._carry_out(call, branch, as_wished(branch, negotiated, request.options))
        self.ledger.publish(EventKind.ANSWERED if first else EventKind.UPDATED, call)
        return SdpReply(negotiated.sdp, call.call_id, request.options.unknown)

    async def _carry_out(self, call: Call, branch: Branch, streams: dict[int, StreamMedia]) -> None:
        before = branch.media
        await self.ledger.carry_out(call, branch, streams)
        self.new_keys(call, before, branch.own_media)

    def new_keys(self, call: Call, before: Mapping[int, StreamMedia], now: Mapping[int, StreamMedia]) -> None:
        """Into the journal, without themselves, and into the file that an operator asked for."""
        for event in keying_log.events(before, now, debug=_journal.isEnabledFor(logging.DEBUG)):
            log.log(event.level, event.name, call=call.call_id, **event.facts)
        if self._key_log is not None:
            for keyed in keying_log.contexts(before, now):
                self._key_log(call.call_id, keyed)

    def _new_branch(self, call: Call, request: OfferRequest) -> Branch:
        if call.low_level:
            raise CallExists("this Call-ID names a low-level session")
        if len(call.branches) >= MOST_BRANCHES:
            raise NoCapacity("too many branches of one call")
        negotiation = Negotiation(self._random, self.ledger.certificates)
        branch = Branch(request.from_tag, via_branch=request.via_branch, negotiation=negotiation)
        call.branches.append(branch)
        return branch

    def _ports(self, placement: Placement, plan: OfferPlan) -> Sequence[StreamPlacement]:
        """Our ports in the order of the plan, with the addresses that peers reach them by."""
        ports = []
        for need in plan.streams:
            stream = placement.streams[need.line]
            a, b = stream.placement.a, stream.placement.b
            ports.append(
                stream.placement
                if not self._facts.advertised
                else StreamPlacement(
                    placement.worker, self._advertised(stream.interface_a, a), self._advertised(stream.interface_b, b)
                )
            )
        return ports

    def _advertised(self, interface: str, ours: LocalPorts) -> LocalPorts:
        return replace(ours, address=self._facts.advertised.get(interface, ours.address))

    def _operation(self, name: str) -> _Operation:
        return _Operation(self.ledger.tally, name)


class _Operation:
    """Count it; whatever is not a GatewayError is our own mistake: logged without values, told without detail."""

    __slots__ = ("_name", "_tally")

    def __init__(self, tally: Tally, name: str) -> None:
        self._tally, self._name = tally, name

    def __enter__(self) -> None:
        self._tally.requests[self._name] += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GatewayError):
            self._tally.errors[error.reason] += 1
        elif isinstance(error, Exception):
            self._tally.errors[GatewayError.reason] += 1
            log.error("operation failed", operation=self._name, error=type(error).__name__, where=_where(error))
            raise GatewayError("internal error") from None


def _where(error: BaseException) -> str:
    """File and line of the mistake; never values, which may be keys."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
