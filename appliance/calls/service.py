"""What every face drives: offers, answers, deletes, low-level sessions, and what can be seen of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from appliance.calls.views import (
    AnswerRequest,
    CallEvent,
    CallView,
    OfferRequest,
    SdpReply,
    SessionRequest,
    Statistics,
)


class CallService:
    """The calls of this gateway. Raises `appliance.errors.GatewayError` and nothing else. One event loop, no threads."""

    async def offer(self, request: OfferRequest) -> SdpReply:
        """First offer, repeated offer, re-INVITE by either party, or a further branch of a forked call."""
        raise NotImplementedError

    async def answer(self, request: AnswerRequest) -> SdpReply:
        """The answer to the offer that is out. UnknownCall, InvalidSdp, NotAcceptable."""
        raise NotImplementedError

    async def delete(self, call_id: str, from_tag: str = "", to_tag: str = "", via_branch: str = "") -> CallView:
        """End the call, or the branches of it that the tags name. Final counters. UnknownCall."""
        raise NotImplementedError

    async def create_session(self, request: SessionRequest) -> CallView:
        """Low-level session. CallExists, NoCapacity, InvalidRequest."""
        raise NotImplementedError

    async def update_session(self, request: SessionRequest) -> CallView:
        """Replace the streams of a low-level session. UnknownCall."""
        raise NotImplementedError

    async def delete_session(self, call_id: str) -> CallView:
        return await self.delete(call_id)

    def get(self, call_id: str) -> CallView:
        """UnknownCall."""
        raise NotImplementedError

    def list(self, limit: int, after: str = "") -> list[CallView]:
        """At most `limit` calls in order of call-id, those after call-id `after`. Cheap views: without counters."""
        raise NotImplementedError

    def statistics(self) -> Statistics:
        raise NotImplementedError

    def watch(self) -> AsyncIterator[CallEvent]:
        """SNAPSHOT per call, SYNCED, then changes. A reader that is too slow is ended (the iterator raises NoCapacity)."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Refuse new calls from now on (Draining); existing ones go on. Returns at once."""
        raise NotImplementedError

    async def resume(self) -> None:
        """Take new calls again."""
        raise NotImplementedError
