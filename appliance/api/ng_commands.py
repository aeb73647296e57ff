"""The NG commands we serve, one function each: message in, reply body out. Table at the end; the rest is
"Unrecognized command"."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from appliance.calls.media import Address
from appliance.calls.service import CallService
from appliance.calls.views import AnswerRequest, CallView, LegView, OfferRequest, StreamView
from appliance.errors import InvalidRequest, UnknownCall
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import flags, replies
from appliance.protocols.ng.codec import (
    DELETED_UNKNOWN_CALL,
    NO_CALL_ID,
    NO_FROM_TAG,
    NO_SDP,
    NO_TO_TAG,
    UNKNOWN_CALL,
    Message,
)
from appliance.protocols.ng.value import Value, text

LIST_LIMIT = 32  # rtpengine's default
LIST_MOST = 10_000

Body: TypeAlias = Mapping[str, Value]
Handler: TypeAlias = "Callable[[NgCommands, Message], Awaitable[Body]]"


class NgCommands:
    """Carries out NG messages on a CallService. `defaults` lie under what a message asks for."""

    def __init__(self, calls: CallService, defaults: Callable[[], MediaOptions]) -> None:
        self._calls, self._defaults = calls, defaults

    async def ping(self, message: Message) -> Body:
        return {"result": "pong"}

    async def offer(self, message: Message) -> Body:
        call_id, from_tag = _required(message, "call-id", NO_CALL_ID), _required(message, "from-tag", NO_FROM_TAG)
        options = flags.read(message.body, self._defaults())
        reply = await self._calls.offer(
            OfferRequest(
                call_id=call_id,
                from_tag=from_tag,
                sdp=_sdp(message),
                options=options,
                to_tag=message.word("to-tag"),
                via_branch=message.word("via-branch"),
                label=options.label,
            )
        )
        return _with_warnings({"result": "ok", "sdp": text(reply.sdp)}, reply.warnings)

    async def answer(self, message: Message) -> Body:
        call_id, from_tag = _required(message, "call-id", NO_CALL_ID), _required(message, "from-tag", NO_FROM_TAG)
        to_tag = _required(message, "to-tag", NO_TO_TAG)
        request = AnswerRequest(
            call_id=call_id,
            from_tag=from_tag,
            to_tag=to_tag,
            sdp=_sdp(message),
            options=flags.read(message.body, self._defaults()),
            via_branch=message.word("via-branch"),
        )
        try:
            reply = await self._calls.answer(request)
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None
        return _with_warnings({"result": "ok", "sdp": text(reply.sdp)}, reply.warnings)

    async def delete(self, message: Message) -> Body:
        """A call that is not there is deleted already: a warning, unless the client insists ("fatal")."""
        call_id = _required(message, "call-id", NO_CALL_ID)
        try:
            view = await self._calls.delete(
                call_id, message.word("from-tag"), message.word("to-tag"), message.word("via-branch")
            )
        except UnknownCall:
            if "fatal" in _words(message):
                raise UnknownCall(DELETED_UNKNOWN_CALL) from None
            return {"result": "ok", "warning": DELETED_UNKNOWN_CALL}
        return _query(view)

    async def query(self, message: Message) -> Body:
        try:
            return _query(self._calls.get(_required(message, "call-id", NO_CALL_ID)))
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None

    async def list(self, message: Message) -> Body:
        limit = message.body.get("limit", LIST_LIMIT)
        if isinstance(limit, str) and limit.isdecimal() and len(limit) < 10:
            limit = int(limit)
        if not isinstance(limit, int) or limit <= 0:
            raise InvalidRequest("Invalid limit", "limit")
        return replies.call_list([view.call_id for view in self._calls.list(min(limit, LIST_MOST))])

    async def statistics(self, message: Message) -> Body:
        """The keys of rtpengine's `list jsonstats` that we have figures for."""
        figures = self._calls.statistics()
        counters: dict[str, int] = {}
        for worker in figures.workers:
            for name, count in worker.counters.items():
                counters[name] = counters.get(name, 0) + count
        current: dict[str, Value] = {"sessionstotal": figures.calls, "sessionsown": figures.calls}
        totals: dict[str, Value] = {
            "uptime": int(figures.uptime_s),
            "managedsessions": figures.calls_total,
            "relayedpackets": counters.get("forwarded", 0),
            "relayedbytes": counters.get("forwarded_octets", 0),
            "errorcounts": dict(figures.errors),
            "requests": dict(figures.requests),
        }
        return {"result": "ok", "statistics": {"currentstatistics": current, "totalstatistics": totals}}


COMMANDS: Mapping[str, Handler] = {
    "ping": NgCommands.ping,
    "offer": NgCommands.offer,
    "answer": NgCommands.answer,
    "delete": NgCommands.delete,
    "query": NgCommands.query,
    "list": NgCommands.list,
    "statistics": NgCommands.statistics,
}


def _required(message: Message, key: str, missing: str) -> str:
    word = message.word(key)
    if not word:
        raise InvalidRequest(missing, key)
    return word


def _sdp(message: Message) -> bytes:
    sdp = message.sdp
    if not sdp:
        raise InvalidRequest(NO_SDP, "sdp")
    return sdp


def _words(message: Message) -> Sequence[Value]:
    words = message.body.get("flags")
    return words if isinstance(words, list) else [words]


def _with_warnings(body: dict[str, Value], warnings: tuple[str, ...]) -> dict[str, Value]:
    if warnings:
        body["warning"] = "not understood: " + ", ".join(word[:40] for word in warnings[:8])
    return body


def _query(view: CallView) -> Body:
    """One tag per party; rtpengine's key names."""
    medias: dict[str, list[replies.MediaReply]] = {}
    partner: dict[str, str] = {}
    for stream in view.streams:
        for tag, other, leg in ((stream.from_tag, stream.to_tag, stream.a), (stream.to_tag, stream.from_tag, stream.b)):
            medias.setdefault(tag, []).append(_media(stream, leg))
            partner.setdefault(tag, other)
    tags = [
        replies.TagReply(tag, int(view.created), partner[tag], view.label, tuple(streams))
        for tag, streams in medias.items()
    ]
    return replies.query(int(view.created), int(view.changed), tags)


def _media(stream: StreamView, leg: LegView) -> replies.MediaReply:
    words = ("initialized", *(("rtcp-mux",) if leg.mux else ()), *(("SDES",) if leg.secure else ()))
    suite = leg.receive.suite if leg.receive else leg.send.suite if leg.send else ""
    last = int(time.time() - leg.last_packet_age_s) if leg.last_packet_age_s is not None else 0
    errors = sum(leg.drops.values())
    rtp = replies.StreamReply(
        leg.local.address,
        leg.local.rtp,
        _pair(leg.learnt_rtp or leg.remote_rtp),
        _pair(leg.remote_rtp),
        suite,
        last,
        rtcp=False,
        confirmed=leg.rtp.received_packets > 0,
        stats=replies.StreamStats(leg.rtp.received_packets, leg.rtp.received_octets, errors),
    )
    if leg.mux:
        return replies.MediaReply(stream.index + 1, stream.kind, _protocol(leg), words, (rtp,))
    rtcp = replies.StreamReply(
        leg.local.address,
        leg.local.rtcp,
        _pair(leg.learnt_rtcp or leg.remote_rtcp),
        _pair(leg.remote_rtcp),
        suite,
        last,
        rtcp=True,
        confirmed=leg.rtcp.received_packets > 0,
        stats=replies.StreamStats(leg.rtcp.received_packets, leg.rtcp.received_octets),
    )
    return replies.MediaReply(stream.index + 1, stream.kind, _protocol(leg), words, (rtp, rtcp))


def _protocol(leg: LegView) -> str:
    return "RTP/SAVP" if leg.secure else "RTP/AVP"


def _pair(address: Address | None) -> tuple[str, int] | None:
    return (address.host, address.port) if address else None
