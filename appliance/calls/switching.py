"""Which of several keys a sender uses (C06): of negotiated calls and of low-level sessions."""

from __future__ import annotations

from dataclasses import replace

from appliance.calls.ledger import Ledger
from appliance.calls.media import ContextSpec, StreamMedia
from appliance.calls.negotiation_keys import NoKey, switched
from appliance.calls.registry import Branch, Call
from appliance.errors import InvalidRequest


async def switch_key(ledger: Ledger, call: Call, stream: int, leg: str, mki: int) -> None:
    """Every branch that has this stream sends towards its leg with the key of this MKI. InvalidRequest: no branch
    has such a key."""
    if leg not in ("a", "b"):
        raise InvalidRequest("leg is a or b", "leg")
    found = [branch for branch in call.branches if stream in branch.own_media]
    if not found:
        raise InvalidRequest("the call has no such stream", "stream")
    for branch in found:
        with ledger.attempt(call, branch):
            await ledger.carry_out(call, branch, _switched(branch, stream, leg, mki))


def _switched(branch: Branch, stream: int, leg: str, mki: int) -> dict[int, StreamMedia]:
    media = branch.media[stream]
    side = media.a if leg == "a" else media.b
    try:
        value = _on_the_wire(side.send, mki)
        if branch.negotiation is not None:
            return branch.negotiation.switch_key(stream, leg, value)
        assert side.send is not None
        side = replace(side, send=switched(side.send, value))
        return branch.media | {stream: replace(media, a=side) if leg == "a" else replace(media, b=side)}
    except NoKey as why:
        raise InvalidRequest(f"{why}", "mki") from None


def _on_the_wire(spec: ContextSpec | None, mki: int) -> bytes:
    if spec is None:
        raise NoKey("nothing is encrypted towards this leg")
    try:
        return mki.to_bytes(len(spec.keys[0].mki), "big")
    except OverflowError:
        raise NoKey("the MKI does not fit its length") from None
