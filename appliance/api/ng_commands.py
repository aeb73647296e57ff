"""The NG commands we serve, one function each: message in, reply body out. Table at the end; the rest is
"Unrecognized command"."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from appliance.api import ng_media
from appliance.api.ng_delayed import DelayedDeletes
from appliance.api.ng_fields import Body, ok, required, sdp_of
from appliance.api.ng_query import query as query_body
from appliance.api.ng_rules import NgRules
from appliance.api.ng_statistics import statistics as statistics_body
from appliance.api.ng_tally import NgTally
from appliance.calls.service import CallService
from appliance.calls.views import AnswerRequest, OfferRequest, SdpReply
from appliance.errors import InvalidRequest, UnknownCall
from appliance.policy.options import MediaOptions
from appliance.protocols.ng import loop, replies
from appliance.protocols.ng.codec import (
    BAD_LIMIT,
    DELETED_UNKNOWN_CALL,
    NO_CALL_ID,
    NO_FROM_TAG,
    NO_TO_TAG,
    UNKNOWN_CALL,
    Message,
)
from appliance.protocols.ng.flags import Asked
from appliance.protocols.ng.value import Value, text
from appliance.protocols.ng.wishes import number
from appliance.protocols.rtcp import pictures
from appliance.values import changed

LIST_LIMIT = 32  # rtpengine's default
LIST_MOST = 10_000

Handler: TypeAlias = "Callable[[NgCommands, Message], Awaitable[Body]]"


class NgCommands:
    """Carries out NG messages on a CallService."""

    def __init__(self, calls: CallService, rules: NgRules, tally: NgTally | None = None) -> None:
        self.calls, self.rules, self.tally = calls, rules, tally or NgTally()
        self.delayed = DelayedDeletes(calls.delete)

    async def ping(self, message: Message) -> Body:
        return {"result": "pong"}

    async def offer(self, message: Message) -> Body:
        """rtpengine looks for the SDP first, then for the names."""
        sdp, asked = sdp_of(message), self.rules.read(message)
        options = asked.options
        call_id, from_tag = required(message, "call-id", NO_CALL_ID), required(message, "from-tag", NO_FROM_TAG)
        if "fragment" in options.flags:
            return await self._candidates(call_id, from_tag, sdp)
        if "media-control" in options.flags:
            return await self._media_control(call_id, from_tag, sdp)
        if self._passes_untouched(sdp, options):
            return ok(sdp=text(sdp))
        self.delayed.cancel(call_id)
        branch = message.word("via-branch")
        if "new-branch" in options.flags and not branch:
            branch = f"new-branch-{secrets.token_hex(8)}"
        reply = await self.calls.offer(
            OfferRequest(
                call_id=call_id,
                from_tag=from_tag,
                sdp=sdp,
                options=options,
                to_tag=message.word("to-tag"),
                via_branch=branch,
                label=asked.value("set-label") or options.label,
            )
        )
        return await self._rewritten(reply, call_id, from_tag, asked)

    async def answer(self, message: Message) -> Body:
        sdp, asked = sdp_of(message), self.rules.read(message)
        call_id, from_tag = required(message, "call-id", NO_CALL_ID), required(message, "from-tag", NO_FROM_TAG)
        to_tag = required(message, "to-tag", NO_TO_TAG)
        if "fragment" in asked.options.flags:
            return await self._candidates(call_id, to_tag, sdp)
        if "media-control" in asked.options.flags:
            return await self._media_control(call_id, to_tag, sdp)
        if self._passes_untouched(sdp, asked.options):
            return ok(sdp=text(sdp))
        try:
            reply = await self.calls.answer(
                AnswerRequest(
                    call_id=call_id,
                    from_tag=from_tag,
                    to_tag=to_tag,
                    sdp=sdp,
                    options=asked.options,
                    via_branch=message.word("via-branch"),
                )
            )
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None
        return await self._rewritten(reply, call_id, to_tag, asked)

    async def _candidates(self, call_id: str, tag: str, fragment: bytes) -> Body:
        """As in rtpengine: taken, and nothing comes back."""
        try:
            await self.calls.add_candidates(call_id, tag, fragment)
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None
        return ok()

    async def _media_control(self, call_id: str, tag: str, body: bytes) -> Body:
        if not pictures.asks_for_picture(body):
            raise InvalidRequest("no picture_fast_update in this body", "sdp")
        try:
            await self.calls.ask_for_pictures(call_id, tag)
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None
        return ok()

    async def delete(self, message: Message) -> Body:
        """A call that is not there is deleted already: a warning, unless the client insists ("fatal"). With a delay
        the media goes on until it is over; an offer of the same call cancels it."""
        call_id, asked = required(message, "call-id", NO_CALL_ID), self.rules.read(message)
        tags = message.word("from-tag"), message.word("to-tag"), message.word("via-branch")
        delay = number(asked.value("delete-delay"))
        delay = self.rules.delete_delay_s if delay is None else delay
        try:
            if delay > 0 and "fast" not in asked.options.flags and self._put_off(delay, call_id, tags):
                return self.with_warnings(dict(query_body(self.calls.get(call_id))), asked.options)
            view = await self.calls.delete(call_id, *tags)
            if self.calls.ledger.registry.get(call_id) is None:
                self.delayed.cancel(call_id)
        except UnknownCall:
            if "fatal" in asked.options.flags:
                raise UnknownCall(DELETED_UNKNOWN_CALL) from None
            return ok(warning=DELETED_UNKNOWN_CALL)
        return query_body(view)

    async def query(self, message: Message) -> Body:
        call_id = required(message, "call-id", NO_CALL_ID)
        only = [tag for tag in (message.word("from-tag"), message.word("to-tag")) if tag]
        try:
            return query_body(self.calls.get(call_id), only)
        except UnknownCall:
            raise UnknownCall(UNKNOWN_CALL) from None

    async def list(self, message: Message) -> Body:
        limit = number(message.body.get("limit"))
        if limit is not None and limit < 0:
            raise InvalidRequest(BAD_LIMIT, "limit")
        most = LIST_LIMIT if limit is None else min(limit, LIST_MOST)
        return replies.call_list([view.call_id for view in self.calls.list(most)] if most else [])

    async def statistics(self, message: Message) -> Body:
        return ok(statistics=statistics_body(self.calls.statistics(), self.tally, self.rules.interfaces))

    # ---------------------------------------------------------------- steps

    def with_warnings(self, body: dict[str, Value], options: MediaOptions) -> dict[str, Value]:
        """`warning` names what was not understood and what is not to be had; rtpengine logs it instead."""
        if not options.unknown and not options.unavailable:
            return body
        parts = [
            f"{what}: " + ", ".join(word[:40] for word in words[:8])
            for what, words in (("not understood", options.unknown), ("not available", options.unavailable))
            if words
        ]
        body["warning"] = "; ".join(parts)
        return body

    async def _rewritten(self, reply: SdpReply, call_id: str, sender: str, asked: Asked) -> Body:
        strange = await ng_media.echo_and_drop(self.calls, call_id, sender, asked) if asked.values else []
        options, sdp = asked.options, reply.sdp
        if "loop-protect" in options.flags:
            sdp = loop.mark(sdp, self.rules.secret)
        if strange or reply.unavailable:
            options = changed(
                options, unknown=(*options.unknown, *strange), unavailable=(*options.unavailable, *reply.unavailable)
            )
        return self.with_warnings(ok(sdp=text(sdp)), options)

    def _passes_untouched(self, sdp: bytes, options: MediaOptions) -> bool:
        return "loop-protect" in options.flags and loop.is_marked(sdp, self.rules.secret)

    def _put_off(self, delay_s: int, call_id: str, tags: tuple[str, str, str]) -> bool:
        """False: delete now. UnknownCall when nothing would be deleted."""
        call = self.calls.ledger.registry.get(call_id)
        if call is None or not call.for_delete(*tags):
            raise UnknownCall(DELETED_UNKNOWN_CALL)
        return self.delayed.put(delay_s, call_id, tags)


COMMANDS: Mapping[str, Handler] = {
    "ping": NgCommands.ping,
    "offer": NgCommands.offer,
    "answer": NgCommands.answer,
    "delete": NgCommands.delete,
    "query": NgCommands.query,
    "list": NgCommands.list,
    "statistics": NgCommands.statistics,
    "block media": ng_media.block_media,
    "unblock media": ng_media.unblock_media,
    "block DTMF": ng_media.no_dtmf,
    "unblock DTMF": ng_media.no_dtmf,
    "subscribe request": ng_media.subscribe_request,
    "subscribe answer": ng_media.subscribe_answer,
    "unsubscribe": ng_media.unsubscribe,
}

ABSENT = (
    "start recording", "stop recording", "pause recording", "start forwarding", "stop forwarding", "silence media",
    "unsilence media", "play media", "stop media", "play DTMF", "publish", "connect", "create", "create answer",
    "mesh", "transform", "inject start", "inject stop",
)  # fmt: skip
"""rtpengine's commands that are "Unrecognized command" here, as they are for an older rtpengine."""
