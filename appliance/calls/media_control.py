"""What is done to the media of a call that is up, beside offer and answer: block, echo, and copies for subscribers.

`CallService.control` is one of these. Raises `appliance.errors.GatewayError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import replace

from appliance.calls.ledger import Ledger
from appliance.calls.media import LegMedia, StreamMedia
from appliance.calls.registry import Branch, Call, Treatment
from appliance.calls.views import CallView, EventKind, Party, SubscribeReply, SubscribeRequest
from appliance.errors import NotAcceptable, UnknownCall
from appliance.policy.options import MediaOptions


class MediaControl:
    """One per call service. `operation` counts a request by its name and turns mistakes of ours into errors."""

    def __init__(self, ledger: Ledger, operation: Callable[[str], AbstractContextManager[None]]) -> None:
        self._ledger, self._operation = ledger, operation

    async def block_media(self, call_id: str, party: Party, blocked: bool = True) -> CallView:
        """What these parties send, RTP and RTCP, goes no further (it is still judged, learnt from and counted) until
        they are unblocked; re-INVITEs do not change that. UnknownCall: no such call, or nobody in it is meant."""
        with self._operation("block_media" if blocked else "unblock_media"):
            return await self._treat(call_id, party, lambda now: replace(now, blocked=blocked))

    async def unblock_media(self, call_id: str, party: Party) -> CallView:
        """See block_media."""
        return await self.block_media(call_id, party, blocked=False)

    async def echo_media(self, call_id: str, party: Party, echo: bool = True) -> CallView:
        """What these parties send goes back to them and not to the other side. UnknownCall as block_media."""
        with self._operation("start_echo" if echo else "stop_echo"):
            return await self._treat(call_id, party, lambda now: replace(now, echo=echo))

    async def subscribe(self, request: SubscribeRequest) -> SubscribeReply:
        """Our offer to a subscriber. Nothing flows before its answer. UnknownCall (no such call or tag),
        NotAcceptable (no media is agreed yet), NoCapacity (too many subscribers, no port)."""
        with self._operation("subscribe"):
            raise NotAcceptable("this gateway cannot copy media yet")

    async def subscribe_answer(self, call_id: str, to_tag: str, sdp: bytes, options: MediaOptions) -> CallView:
        """The subscriber's answer: copies flow from now on. UnknownCall (no such call or subscription), InvalidSdp,
        NotAcceptable, CryptoRequired: the subscription stays as it was."""
        with self._operation("subscribe_answer"):
            raise UnknownCall("no such subscription")

    async def unsubscribe(self, call_id: str, to_tag: str) -> CallView:
        """End a subscription; the call goes on. UnknownCall."""
        with self._operation("unsubscribe"):
            raise UnknownCall("no such subscription")

    async def _treat(self, call_id: str, party: Party, change: Callable[[Treatment], Treatment]) -> CallView:
        call = await self._ledger.existing(call_id)
        try:
            meant = [(branch, sides) for branch in call.branches if (sides := sides_of(call, branch, party))]
            if not meant:
                raise UnknownCall("nobody in this call is meant")
            for branch, sides in meant:
                before = dict(branch.treatments)
                for side in sides:
                    branch.treatments[side] = change(branch.treatments[side])
                try:
                    with self._ledger.attempt(call, branch):
                        await self._ledger.carry_out(call, branch, _as_treated(branch, sides))
                except BaseException:
                    branch.treatments = before
                    raise
            self._ledger.publish(EventKind.UPDATED, call)
            return self._ledger.snapshots.call(call)
        finally:
            self._ledger.unlock(call)


def sides_of(call: Call, branch: Branch, party: Party) -> tuple[str, ...]:
    """Which legs of a branch are meant."""
    if party.tag:
        return tuple(side for side, tag in (("a", branch.from_tag), ("b", branch.to_tag)) if tag == party.tag)
    if party.address:
        return tuple(side for side in ("a", "b") if _has_address(branch, side, party.address))
    return ("a", "b") if not party.label or party.label == call.label else ()


def _as_treated(branch: Branch, sides: Collection[str]) -> dict[int, StreamMedia]:
    """The streams with what holds now for these legs; the ledger can only add to it."""
    return {
        line: replace(
            media,
            a=_leg_as_treated(media.a, branch.treatments["a"]) if "a" in sides else media.a,
            b=_leg_as_treated(media.b, branch.treatments["b"]) if "b" in sides else media.b,
        )
        for line, media in branch.media.items()
    }


def _leg_as_treated(leg: LegMedia, treatment: Treatment) -> LegMedia:
    return replace(leg, blocked=treatment.blocked, echo=treatment.echo)


def _has_address(branch: Branch, side: str, host: str) -> bool:
    legs = [media.a if side == "a" else media.b for media in branch.media.values()]
    return any(leg.remote_rtp is not None and leg.remote_rtp.host == host for leg in legs)
