"""CallService: calls by SDP, and everything that can be seen of calls."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from appliance.api import read, show
from appliance.calls.views import SdpReply
from appliance.errors import InvalidRequest
from srtpgw.v1 import calls_pb2

if TYPE_CHECKING:
    from appliance.calls.service import CallService
    from appliance.policy.options import MediaOptions

PAGE = 100
LARGEST_PAGE = 1000
_TOKEN_VERSION = b"1:"


class CallServicer:
    """Has every method of the service: registering it fails otherwise."""

    def __init__(self, calls: CallService, options: Callable[[], MediaOptions]) -> None:
        self._calls = calls
        self._options = options  # asked for each request: settings may change

    async def Offer(self, request: calls_pb2.OfferRequest, context: Any) -> calls_pb2.SdpReply:
        reply = await self._calls.offer(read.offer_request(request, self._options()))
        return _sdp_reply(reply, request.call_id)

    async def Answer(self, request: calls_pb2.AnswerRequest, context: Any) -> calls_pb2.SdpReply:
        reply = await self._calls.answer(read.answer_request(request, self._options()))
        return _sdp_reply(reply, request.call_id)

    async def Trickle(self, request: calls_pb2.TrickleRequest, context: Any) -> calls_pb2.TrickleReply:
        taken = await self._calls.add_candidates(*read.candidates(request))
        return calls_pb2.TrickleReply(waiting=not taken)

    async def Delete(self, request: calls_pb2.DeleteCallRequest, context: Any) -> calls_pb2.Call:
        call_id = read.name(request.call_id, "call_id")
        return show.call(await self._calls.delete(call_id, request.from_tag, request.to_tag, request.via_branch))

    async def Get(self, request: calls_pb2.GetCallRequest, context: Any) -> calls_pb2.Call:
        return show.call(self._calls.get(read.name(request.call_id, "call_id")))

    async def Why(self, request: calls_pb2.WhyRequest, context: Any) -> calls_pb2.WhyReply:
        call_id = read.name(request.call_id, "call_id")
        return show.why(call_id, await self._calls.why(call_id))

    async def List(self, request: calls_pb2.ListCallsRequest, context: Any) -> calls_pb2.ListCallsResponse:
        if request.page_size < 0:
            raise InvalidRequest("page_size: must not be negative", "page_size")
        size = min(request.page_size or PAGE, LARGEST_PAGE)
        views = self._calls.list(size + 1, _after(request.page_token))
        more = len(views) > size
        return calls_pb2.ListCallsResponse(
            calls=[show.call(view) for view in views[:size]],
            next_page_token=_token(views[size - 1].call_id) if more else "",
        )

    async def Move(self, request: calls_pb2.MoveCallRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.move_call(read.name(request.call_id, "call_id"), request.worker))

    async def SwitchKey(self, request: calls_pb2.SwitchKeyRequest, context: Any) -> calls_pb2.Call:
        call_id, leg = read.name(request.call_id, "call_id"), read.name(request.leg, "leg")
        return show.call(await self._calls.switch_key(call_id, request.stream, leg, request.mki))

    async def Block(self, request: calls_pb2.PartyRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.control.block_media(*read.party(request)))

    async def Unblock(self, request: calls_pb2.PartyRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.control.unblock_media(*read.party(request)))

    async def StartEcho(self, request: calls_pb2.PartyRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.control.echo_media(*read.party(request)))

    async def StopEcho(self, request: calls_pb2.PartyRequest, context: Any) -> calls_pb2.Call:
        return show.call(await self._calls.control.echo_media(*read.party(request), echo=False))

    async def Subscribe(self, request: calls_pb2.SubscribeRequest, context: Any) -> calls_pb2.SubscribeReply:
        return show.subscribed(await self._calls.control.subscribe(read.subscribe_request(request, self._options())))

    async def AnswerSubscription(self, request: calls_pb2.AnswerSubscriptionRequest, context: Any) -> calls_pb2.Call:
        answer = read.answer_subscription(request, self._options())
        return show.call(await self._calls.control.subscribe_answer(*answer))

    async def Unsubscribe(self, request: calls_pb2.UnsubscribeRequest, context: Any) -> calls_pb2.Call:
        call_id, to_tag = read.name(request.call_id, "call_id"), read.name(request.to_tag, "to_tag")
        return show.call(await self._calls.control.unsubscribe(call_id, to_tag))

    async def Watch(self, request: calls_pb2.WatchRequest, context: Any) -> AsyncIterator[calls_pb2.WatchEvent]:
        events: Any = self._calls.watch()
        async with aclosing(events):
            async for event in events:
                yield show.event(event)


def _sdp_reply(reply: SdpReply, call_id: str) -> calls_pb2.SdpReply:
    return calls_pb2.SdpReply(
        sdp=reply.sdp.decode("utf-8", "replace"),
        call_id=reply.call_id or call_id,
        warnings=(*reply.warnings, *reply.unavailable),
    )


def _token(call_id: str) -> str:
    """The cursor is the last call-id shown, so a page is right even when calls came and went in between (AIP-158)."""
    return base64.urlsafe_b64encode(_TOKEN_VERSION + call_id.encode()).decode()


def _after(token: str) -> str:
    if not token:
        return ""
    try:
        cursor = base64.b64decode(token, altchars=b"-_", validate=True)
        if cursor.startswith(_TOKEN_VERSION):
            return cursor.removeprefix(_TOKEN_VERSION).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    raise InvalidRequest("page_token: not one of ours", "page_token")
