"""NG's commands about media that flows: block, echo, copies for subscribers. And the keys of offer and answer that
mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.api.ng_fields import Body, ok, required, sdp_of
from appliance.calls.service import CallService
from appliance.calls.views import CallView, Party, SubscribeRequest
from appliance.errors import InvalidRequest, UnknownCall
from appliance.protocols.ng.codec import (
    NO_CALL_ID,
    NO_MONOLOGUE,
    NO_SUCH_ADDRESS,
    NO_SUCH_LABEL,
    NO_SUCH_TAG,
    NO_TO_TAG,
    TO_TAG_NOT_FOUND,
    UNKNOWN_CALL_ID,
    Message,
)
from appliance.protocols.ng.flags import Asked
from appliance.protocols.ng.value import text
from appliance.protocols.ng.wishes import normal

if TYPE_CHECKING:
    from appliance.api.ng_commands import NgCommands


async def block_media(ng: NgCommands, message: Message) -> Body:
    call_id, party = _selected(ng, message)
    await ng.calls.control.block_media(call_id, party)
    return ok()


async def unblock_media(ng: NgCommands, message: Message) -> Body:
    call_id, party = _selected(ng, message)
    await ng.calls.control.unblock_media(call_id, party)
    return ok()


async def no_dtmf(ng: NgCommands, message: Message) -> Body:
    """DTMF in payloads is not looked into: rather an error than a digit that a recorder hears."""
    _selected(ng, message)
    raise InvalidRequest("DTMF blocking is not available: block media stops everything a party sends")


async def subscribe_request(ng: NgCommands, message: Message) -> Body:
    call = _call(ng, message)
    asked = ng.rules.read(message)
    reply = await ng.calls.control.subscribe(
        SubscribeRequest(call.call_id, asked.options, _sources(call, message, asked), message.word("to-tag"))
    )
    body = ok(sdp=text(reply.sdp))
    body["from-tags"] = tags = list(dict.fromkeys(reply.from_tags))
    if len(tags) == 1:
        body["from-tag"] = tags[0]
    body["to-tag"] = reply.to_tag
    return ng.with_warnings(body, asked.options)


async def subscribe_answer(ng: NgCommands, message: Message) -> Body:
    call, to_tag = _call(ng, message), required(message, "to-tag", NO_TO_TAG)
    asked = ng.rules.read(message)
    try:
        await ng.calls.control.subscribe_answer(call.call_id, to_tag, sdp_of(message), asked.options)
    except UnknownCall:
        raise UnknownCall(TO_TAG_NOT_FOUND) from None
    return ng.with_warnings(ok(), asked.options)


async def unsubscribe(ng: NgCommands, message: Message) -> Body:
    """As in rtpengine a subscription that is gone already is unsubscribed."""
    call, to_tag = _call(ng, message), required(message, "to-tag", NO_TO_TAG)
    try:
        await ng.calls.control.unsubscribe(call.call_id, to_tag)
    except UnknownCall:
        return ok(warning=TO_TAG_NOT_FOUND)
    return ok()


async def echo_and_drop(calls: CallService, call_id: str, sender: str, asked: Asked) -> list[str]:
    """`media echo` and `drop-traffic` of an offer or answer, once it is carried out. `sender`: the tag of the party
    whose SDP it was. Values nobody knows are returned."""
    control, everybody, him = calls.control, Party(), Party(tag=sender)
    drop, echo = normal(asked.value("drop-traffic")), normal(asked.value("media-echo"))
    if drop in ("start", "stop"):
        await control.block_media(call_id, everybody, drop == "start")
    if echo in BLACKHOLE:
        await control.block_media(call_id, everybody)
    elif echo == "both":
        await control.echo_media(call_id, everybody)
    elif echo in FORWARD:
        await control.echo_media(call_id, everybody)
        await control.echo_media(call_id, him, echo=False)
        await control.block_media(call_id, him)
    elif echo in BACKWARD:
        await control.block_media(call_id, everybody)
        await control.unblock_media(call_id, him)
        await control.echo_media(call_id, him)
    known = {"", "both", *BLACKHOLE, *FORWARD, *BACKWARD}
    return [f"drop-traffic={drop}"] * (drop not in ("", "start", "stop")) + [f"media-echo={echo}"] * (echo not in known)


BLACKHOLE = frozenset(("blackhole", "sinkhole"))
FORWARD = frozenset(("forward", "fwd", "fw"))
BACKWARD = frozenset(("backward", "backwards", "reverse", "back", "bkw", "bk"))


def _call(ng: NgCommands, message: Message) -> CallView:
    call_id = required(message, "call-id", NO_CALL_ID)
    try:
        return ng.calls.get(call_id)
    except UnknownCall:
        raise UnknownCall(UNKNOWN_CALL_ID) from None


def _selected(ng: NgCommands, message: Message) -> tuple[str, Party]:
    """Whom a message means: from-tag, else address, else label, else everybody. UnknownCall."""
    call = _call(ng, message)
    tag, address, label = message.word("from-tag"), message.word("address"), message.word("label")
    if "all" in ng.rules.read(message).options.flags or message.word("all") == "all":
        return call.call_id, Party()
    if tag and tag not in _tags(call):
        raise UnknownCall(NO_SUCH_TAG)
    if not tag and address and not _at(call, address):
        raise UnknownCall(NO_SUCH_ADDRESS)
    if not tag and not address and label and label != call.label:
        raise UnknownCall(NO_SUCH_LABEL)
    return call.call_id, Party(tag=tag, address="" if tag else address, label="" if tag or address else label)


def _sources(call: CallView, message: Message, asked: Asked) -> tuple[str, ...]:
    """Whose media a subscriber wants; () is everybody's."""
    if "all" in asked.options.flags or asked.value("all") == "all":
        return ()
    tag = message.word("from-tag")
    tags = [tag] if tag else list(asked.values.get("from-tags", ()))
    address, label = asked.value("address"), asked.options.label
    if not tags and address:
        tags = _at(call, address)
        if not tags:
            raise UnknownCall(NO_SUCH_ADDRESS)
    if not tags and label:
        if label != call.label:
            raise UnknownCall(NO_SUCH_LABEL)
        tags = [call.from_tag]
    if not tags:
        raise InvalidRequest(NO_MONOLOGUE, "from-tag")
    if any(tag not in _tags(call) for tag in tags):
        raise UnknownCall(NO_SUCH_TAG)
    return tuple(tags)


def _tags(call: CallView) -> set[str]:
    return {call.from_tag, call.to_tag, *(tag for one in call.streams for tag in (one.from_tag, one.to_tag))} - {""}


def _at(call: CallView, address: str) -> list[str]:
    """Tags of the parties whose SDP names this address."""
    found = [
        tag
        for one in call.streams
        for tag, leg in ((one.from_tag, one.a), (one.to_tag, one.b))
        if leg.remote_rtp is not None and leg.remote_rtp.host == address
    ]
    return list(dict.fromkeys(found))[:1]
