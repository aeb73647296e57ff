"""The m-lines of the leg that is offered to: which stream stands where, and which of them an answer took. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.calls.negotiation_read import LinePlan
from appliance.calls.negotiation_state import Slot, StreamLine
from appliance.errors import NotAcceptable
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.fields import MediaLine
from appliance.protocols.sdp.parse import MAX_MEDIA

NOTHING = MediaLine("", 0, "", ())  # of a place that is not written yet


def towards(
    agreed: Sequence[Slot],
    plans: Sequence[LinePlan | None],
    lines: Sequence[StreamLine],
    sources: Sequence[Media | None],
    side: str,
) -> tuple[Slot, ...]:
    """The m-lines of an offer to `side`: those it knows (`agreed`) in their places, new ones behind; the other
    arguments by stream. NotAcceptable for too many."""
    slots = [slot.now(taken=False) for slot in agreed]
    was_taken = {slot.stream: at for at, slot in enumerate(agreed) if slot.taken}
    for stream, (plan, line, source) in enumerate(zip(plans, lines, sources, strict=True)):
        if source is None:
            continue  # not in this offer: its places, where this leg has any, stay refused
        twins = line.live and plan is not None and plan.target is not None and plan.target.twins
        if stream in was_taken:
            places = [was_taken[stream]]
        else:
            places = [at for at, slot in enumerate(slots) if slot.stream == stream]
        if len(places) < 1 + twins:
            places = [len(slots), len(slots) + 1][: 1 + twins]
            slots += [Slot(stream, NOTHING, taken=False)] * len(places)
        if not line.live and slots[places[0]].media is not NOTHING:
            continue
        formats, proto = source.media.formats, line.leg(side).proto
        tokens = (proto, _plain(proto)) if twins else (proto,)
        for at, token in zip(places, tokens, strict=False):
            slots[at] = Slot(stream, MediaLine(line.kind, 0, token, formats), taken=line.live)
    if len(slots) > MAX_MEDIA:
        raise NotAcceptable(f"the other side would get more than {MAX_MEDIA} m-lines")
    return tuple(slots)


def _plain(token: str) -> str:
    profile = profiles.find(token)
    return token if profile is None else profiles.variant(profile, secure=False).token


def answering(answer: Description, slots: Sequence[Slot], stream: int) -> int | None:
    """The m-line of the answer that takes the stream up: of twins the secure one comes first, also when the peer took
    both. None: refused."""
    for at, slot in enumerate(slots):
        if slot.stream == stream and slot.taken and at < len(answer.media) and answer.media[at].media.port:
            return at
    return None
