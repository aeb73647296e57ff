"""A call service in memory, to the contract of appliance.calls.service: what the faces are tested against."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from appliance.calls.media import ContextSpec, LegMedia, LocalPorts, StreamMedia
from appliance.calls.media_control import MediaControl
from appliance.calls.service import CallService
from appliance.calls.views import (
    AnswerRequest,
    CallEvent,
    CallState,
    CallView,
    ContextView,
    Counters,
    EventKind,
    KeyView,
    LegView,
    OfferRequest,
    Party,
    SdpReply,
    SessionRequest,
    Statistics,
    StreamView,
    SubscribeReply,
    SubscribeRequest,
    WorkerView,
)
from appliance.diagnosis.causes import Cause, Confidence, Finding
from appliance.errors import CallExists, Draining, NoCapacity, UnknownCall
from appliance.policy.options import MediaOptions


class FakeControl(MediaControl):
    """The same for what is done beside offer and answer."""

    def __init__(self, calls: FakeCalls) -> None:
        self._calls = calls

    async def block_media(self, call_id: str, party: Party, blocked: bool = True) -> CallView:
        self._calls._note((call_id, party, "block" if blocked else "unblock"))
        return self._calls.get(call_id)

    async def echo_media(self, call_id: str, party: Party, echo: bool = True) -> CallView:
        self._calls._note((call_id, party, "echo" if echo else "no echo"))
        return self._calls.get(call_id)

    async def subscribe(self, request: SubscribeRequest) -> SubscribeReply:
        self._calls._note(request)
        self._calls.get(request.call_id)
        to_tag = request.to_tag or "made"
        return SubscribeReply(b"v=0\r\n", request.call_id, to_tag, ("f", "t"), (0, 0), ("a word not understood",))

    async def subscribe_answer(self, call_id: str, to_tag: str, sdp: bytes, options: MediaOptions) -> CallView:
        self._calls._note((call_id, to_tag, sdp, options))
        return self._calls.get(call_id)

    async def unsubscribe(self, call_id: str, to_tag: str) -> CallView:
        self._calls._note((call_id, to_tag))
        return self._calls.get(call_id)


class FakeCalls(CallService):
    """Remembers requests; `fail` is raised by the next one."""

    def __init__(self) -> None:
        self.calls: dict[str, CallView] = {}
        self.control = FakeControl(self)
        self.requests: list[object] = []
        self.fail: Exception | None = None
        self.draining = False
        self.overflow = False  # the next change ends the watchers
        self.watchers = 0
        self._queues: list[asyncio.Queue[CallEvent | None]] = []
        self._serial = itertools.count(1)
        self._ports = itertools.count(24000, 4)

    async def offer(self, request: OfferRequest) -> SdpReply:
        self._note(request)
        if self.draining:
            raise Draining("no new calls")
        self._keep(CallView(request.call_id, CallState.OFFERED, 1e9, 1e9, 1, 0, request.from_tag), EventKind.CREATED)
        return SdpReply(b"v=0\r\n", request.call_id, ("a word not understood",))

    async def answer(self, request: AnswerRequest) -> SdpReply:
        self._note(request)
        view = replace(self.get(request.call_id), state=CallState.ANSWERED, to_tag=request.to_tag, revision=2)
        self._keep(view, EventKind.ANSWERED)
        return SdpReply(b"v=0\r\n", request.call_id)

    async def why(self, call_id: str) -> tuple[Finding, ...]:
        self.get(call_id)
        return (
            Finding(Cause.ROC_OFF, Confidence.CERTAIN, "its rollover counter is 3, ours is 0", 0, "b", "z9hG4bK",
                    (("roc", "3"), ("roc-here", "0"))),
            Finding(Cause.WORKER_DOWN, Confidence.LIKELY, "worker 0 is down"),
        )  # fmt: skip

    async def move_call(self, call_id: str, worker: int) -> CallView:
        self._note((call_id, worker))
        self._keep(replace(self.get(call_id), worker=worker), EventKind.MOVED)
        return self.get(call_id)

    async def switch_key(self, call_id: str, stream: int, leg: str, mki: int) -> CallView:
        self._note((call_id, stream, leg, mki))
        return self.get(call_id)

    async def drain_worker(self, worker: int, drained: bool = True) -> None:
        self._note((worker, drained))

    async def delete(self, call_id: str, from_tag: str = "", to_tag: str = "", via_branch: str = "") -> CallView:
        self._note((call_id, from_tag, to_tag, via_branch))
        view = replace(self.get(call_id), state=CallState.ENDED)
        del self.calls[call_id]
        self._tell(EventKind.ENDED, view)
        return view

    async def create_session(self, request: SessionRequest) -> CallView:
        self._note(request)
        call_id = request.call_id or f"session-{next(self._serial)}"
        if call_id in self.calls:
            raise CallExists(f"call {call_id} is there already")
        return self._keep(self._session(call_id, request), EventKind.CREATED)

    async def update_session(self, request: SessionRequest) -> CallView:
        self._note(request)
        self.get(request.call_id)
        return self._keep(self._session(request.call_id, request), EventKind.UPDATED)

    def get(self, call_id: str) -> CallView:
        if call_id not in self.calls:
            raise UnknownCall(f"there is no call {call_id}")
        return self.calls[call_id]

    def list(self, limit: int, after: str = "") -> list[CallView]:
        return [self.calls[call_id] for call_id in sorted(self.calls) if call_id > after][:limit]

    def statistics(self) -> Statistics:
        worker = WorkerView(
            0, 1, "run", 4711, 0, 0.01, 0.25, len(self.calls), 8, 4096, 4, 2048,
            {"default": 4}, {"default": 996}, {"rtp_received": 1000, "auth_fail": 3},
        )  # fmt: skip
        return Statistics(
            "0.1.0", time.time() - 10, 10.0, "udp", "openssl", "no XDP here", self.draining, len(self.calls),
            0, 2, 3, 0, 1, 0, {"offer": 3}, {"unknown-call": 2}, 12.5, (worker,),
        )  # fmt: skip

    async def watch(self) -> AsyncIterator[CallEvent]:  # type: ignore[override]
        queue: asyncio.Queue[CallEvent | None] = asyncio.Queue()
        self._queues.append(queue)
        self.watchers += 1
        try:
            for view in list(self.calls.values()):
                yield CallEvent(EventKind.SNAPSHOT, time.time(), view.call_id, view)
            yield CallEvent(EventKind.SYNCED, time.time())
            while (event := await queue.get()) is not None:
                yield event
            raise NoCapacity("the watcher is too slow")
        finally:
            self.watchers -= 1
            self._queues.remove(queue)

    async def drain(self) -> None:
        self.draining = True

    async def resume(self) -> None:
        self.draining = False

    def _note(self, request: object) -> None:
        self.requests.append(request)
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error

    def _keep(self, view: CallView, kind: EventKind) -> CallView:
        self.calls[view.call_id] = view
        self._tell(kind, view)
        return view

    def _tell(self, kind: EventKind, view: CallView) -> None:
        for queue in self._queues:
            queue.put_nowait(None if self.overflow else CallEvent(kind, time.time(), view.call_id, view))

    def _session(self, call_id: str, request: SessionRequest) -> CallView:
        streams = tuple(self._stream(place, stream) for place, stream in enumerate(request.streams))
        now = time.time()
        return CallView(
            call_id, CallState.ANSWERED, now, now, 1, 0, label=request.label, low_level=True, streams=streams
        )

    def _stream(self, place: int, stream: StreamMedia) -> StreamView:
        return StreamView(place, stream.kind, self._leg(stream.a), self._leg(stream.b))

    def _leg(self, leg: LegMedia) -> LegView:
        port = next(self._ports)
        return LegView(
            leg.interface or "default", LocalPorts("127.0.0.1", port, port + (0 if leg.mux else 1)),
            leg.remote_rtp, leg.remote_rtcp, mux=leg.mux, secure=leg.secure, may_send=leg.may_send,
            may_receive=leg.may_receive, latching=str(leg.latching),
            receive=_context(leg.receive), send=_context(leg.send),
            receive_also=tuple(ContextView(spec.suite) for spec in leg.receive_also),
            rtp=Counters(10, 1720, 9, 1548), drops={"auth_fail": 3},
        )  # fmt: skip


def _context(spec: ContextSpec | None) -> ContextView | None:
    """In use: ROC 2, a key with 400 of 1000 SRTP packets behind it."""
    if spec is None:
        return None
    uses = tuple(KeyView(key.mki, at == 0, 400, 7, 600, 993) for at, key in enumerate(spec.keys))
    return ContextView(spec.suite, len(spec.keys), roc=2, newest_index=(2 << 16) + 77, resyncs=1, each_key=uses)
