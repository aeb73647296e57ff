"""What is done to the media of a call that is up, beside offer and answer: block, echo, and copies for subscribers.

`CallService.control` is one of these. Raises `appliance.errors.GatewayError` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

from appliance.calls import subscribing
from appliance.calls.ledger import Ledger, placed
from appliance.calls.media import LegMedia, LocalPorts, StreamMedia
from appliance.calls.names import check_names
from appliance.calls.registry import Branch, Call, Treatment
from appliance.calls.subscribing import FIRST_LINE, Source, Subscription
from appliance.calls.views import CallView, EventKind, Party, SubscribeReply, SubscribeRequest
from appliance.errors import NoCapacity, NotAcceptable, UnknownCall
from appliance.placement.reconciler import Placement
from appliance.policy.options import MediaOptions
from kernels.control.commands import MOST_TAPS


class Interfaces(Protocol):
    """What is used of `service.Facts`."""

    @property
    def default_interface(self) -> str: ...
    @property
    def advertised(self) -> Mapping[str, str]: ...


class MediaControl:
    """One per call service. `operation` counts a request by its name and turns mistakes of ours into errors."""

    def __init__(
        self, ledger: Ledger, facts: Interfaces, operation: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._ledger, self._facts, self._operation = ledger, facts, operation

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

    # ---------------------------------------------------------------- copies

    async def subscribe(self, request: SubscribeRequest) -> SubscribeReply:
        """Our offer to a subscriber. Nothing flows before its answer. A known `to_tag` is offered new ports and keys,
        and gets nothing until it has answered. UnknownCall (no such call or party), NotAcceptable (no media is agreed
        yet, or it was not agreed by SDP), CryptoRequired, NoCapacity (too many subscribers, no port)."""
        with self._operation("subscribe"):
            check_names(request.call_id, request.to_tag, *request.from_tags)
            call = await self._ledger.existing(request.call_id)
            try:
                branch = _subscribed_branch(call, request.from_tags)
                to_tag = request.to_tag or self._ledger.random(8).hex()
                return await self._subscribe(call, branch, to_tag, request)
            finally:
                self._ledger.unlock(call)

    async def subscribe_answer(self, call_id: str, to_tag: str, sdp: bytes, options: MediaOptions) -> CallView:
        """The subscriber's answer: copies flow from now on. UnknownCall (no such call or subscription), InvalidSdp,
        NotAcceptable, CryptoRequired: the subscription stays as it was."""
        with self._operation("subscribe_answer"):
            call = await self._ledger.existing(call_id)
            try:
                branch = _branch_of(call, to_tag)
                before = branch.subscriptions[to_tag]
                now = subscribing.answered(before, sdp, options, _keys_of_ours(branch))
                return await self._change(call, branch, {**branch.subscriptions, to_tag: now})
            finally:
                self._ledger.unlock(call)

    async def unsubscribe(self, call_id: str, to_tag: str) -> CallView:
        """End a subscription; the call goes on. UnknownCall."""
        with self._operation("unsubscribe"):
            call = await self._ledger.existing(call_id)
            try:
                branch = _branch_of(call, to_tag)
                rest = {tag: one for tag, one in branch.subscriptions.items() if tag != to_tag}
                return await self._change(call, branch, rest)
            finally:
                self._ledger.unlock(call)

    async def _subscribe(self, call: Call, branch: Branch, to_tag: str, request: SubscribeRequest) -> SubscribeReply:
        options, placement = request.options, placed(branch)
        interface = options.interface_b or self._facts.default_interface
        others = {tag: one for tag, one in branch.subscriptions.items() if tag != to_tag}
        known = [copy.line for one in branch.subscriptions.values() for copy in one.copies]
        first = max(FIRST_LINE - 1, *placement.streams, *known) + 1
        sources = dict(enumerate(_sources(branch, request.from_tags), first))
        if not sources:
            raise NotAcceptable("nothing that these parties send was agreed by SDP")
        _refuse_crowd(others, sources)
        subscription = subscribing.propose(
            to_tag, sources, options, interface, self._ledger.random, _keys_of_ours(branch)
        )
        legs = [(one.line, *((interface, "") if one.side == "a" else ("", interface))) for one in subscription.copies]
        await self._change(call, branch, {**others, to_tag: subscription}, legs)
        tags = {"a": branch.from_tag, "b": branch.to_tag}
        return SubscribeReply(
            subscribing.offer(subscription, self._ports(placement, subscription), options),
            call.call_id,
            to_tag,
            tuple(tags[one.side] for one in subscription.copies),
            tuple(one.of for one in subscription.copies),
            options.unknown,
        )

    def _ports(self, placement: Placement, subscription: Subscription) -> dict[int, LocalPorts]:
        """With the addresses that subscribers reach them by."""
        found = {}
        for copy in subscription.copies:
            ((interface, ours),) = placement.streams[copy.line].ends
            found[copy.line] = replace(ours, address=self._facts.advertised.get(interface, ours.address))
        return found

    async def _change(
        self,
        call: Call,
        branch: Branch,
        subscriptions: dict[str, Subscription],
        legs: Sequence[tuple[int, str, str]] = (),
    ) -> CallView:
        """These from now on, with ports for `legs`; when that fails, those of before."""
        before, branch.subscriptions = branch.subscriptions, subscriptions
        try:
            with self._ledger.attempt(call, branch):
                self._ledger.reconciler.extend(placed(branch), legs)
                await self._ledger.carry_out(call, branch, branch.own_media)
        except BaseException:
            branch.subscriptions = before
            raise
        self._ledger.publish(EventKind.UPDATED, call)
        return self._ledger.snapshots.call(call)

    # ---------------------------------------------------------------- block, echo

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
        for line, media in branch.own_media.items()
    }


def _leg_as_treated(leg: LegMedia, treatment: Treatment) -> LegMedia:
    return replace(leg, blocked=treatment.blocked, echo=treatment.echo)


def _has_address(branch: Branch, side: str, host: str) -> bool:
    legs = [media.leg(side) for media in branch.own_media.values()]
    return any(leg.remote_rtp is not None and leg.remote_rtp.host == host for leg in legs)


def _subscribed_branch(call: Call, from_tags: Sequence[str]) -> Branch:
    """The one with all of these parties; without tags the newest that was answered."""
    answered = [branch for branch in call.branches if branch.answered and branch.placement is not None]
    meant = [branch for branch in answered if {branch.from_tag, branch.to_tag}.issuperset(from_tags)]
    if meant:
        return meant[-1]
    if from_tags and answered:
        raise UnknownCall("no branch of the call has these parties")
    raise NotAcceptable("no media is agreed yet")


def _branch_of(call: Call, to_tag: str) -> Branch:
    for branch in call.branches:
        if to_tag in branch.subscriptions:
            return branch
    raise UnknownCall("no such subscription")


def _sources(branch: Branch, from_tags: Sequence[str]) -> Iterable[Source]:
    """Streams of the parties in the order of their tags; those of which an SDP of ours said the formats."""
    tags = {"a": branch.from_tag, "b": branch.to_tag}
    sides = [side for tag in dict.fromkeys(from_tags) for side in tags if tags[side] == tag] or list(tags)
    for side in sides:
        told = dict(branch.codecs.get(side, ()))
        for line, media in branch.own_media.items():
            ours = placed(branch).streams[line].placement
            text = told.get(ours.leg(side).rtp)
            if text is not None:
                leg = media.leg(side)
                proto = f"RTP/{'S' if leg.secure else ''}AVP{'F' if leg.feedback else ''}"
                yield Source(line, side, media.kind, text, proto)


def _refuse_crowd(others: Mapping[str, Subscription], sources: Mapping[int, Source]) -> None:
    """NoCapacity: one party has as many subscribers as the packet path serves."""
    for source in sources.values():
        of = (source.of, source.side)
        if sum((copy.of, copy.side) == of for one in others.values() for copy in one.copies) >= MOST_TAPS:
            raise NoCapacity(f"a party has {MOST_TAPS} subscribers already")


def _keys_of_ours(branch: Branch) -> set[bytes]:
    """Every key that a peer of this branch has from us."""
    proposed = {
        key.material
        for one in branch.subscriptions.values()
        for copy in one.copies
        for line in copy.proposed
        for key in line.keys
    }
    specs = [leg.send for media in branch.media.values() for leg in (media.a, media.b) if leg.send is not None]
    return proposed | {key.key + key.salt for spec in specs for key in spec.keys}
