"""Which m-lines of an offer are alternatives of one stream, and which stream of the call each is. Pure decisions.

The best-effort form of old has several m-lines for one stream: consecutive, of one kind, on one port (rows G09, SDP-10;
the Jitsi of the reference), or, where the trunk says `accept-legacy`, a secure and a plain twin with equal formats and
ports of their own. Exactly one of them is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.calls.negotiation_state import Exchange, Slot
from appliance.policy.options import MediaOptions
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.description import Description, Media
from appliance.protocols.sdp.fields import invalid

DISCARD_PORT = 9  # trickle ICE's "no address yet" (RFC 8839); never a place to send media to
MAX_STREAMS = 64  # of one call, whatever re-offers do; the parser's limit of m-lines


def groups(offer: Description, options: MediaOptions, agreed: Exchange, side: str) -> list[list[int]]:
    """The m-lines that are in use (port not 0), those that are alternatives of each other together, in order."""
    found: list[list[int]] = []
    bundled = any(value.startswith("BUNDLE") for value in offer.session.attributes("group"))
    for at, media in enumerate(offer.media):
        if not media.media.port:
            continue
        if (
            not bundled
            and found
            and found[-1][-1] == at - 1
            and _alternatives(offer, found[-1], media, options)
            and not _both_agreed(agreed, side, found[-1], at)
        ):
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _alternatives(offer: Description, group: Sequence[int], media: Media, options: MediaOptions) -> bool:
    first = offer.media[group[-1]]
    before, now = first.media, media.media
    if before.kind != now.kind:
        return False
    if before.port == now.port and now.port != DISCARD_PORT:
        return _host(offer, first) == _host(offer, media)
    return "accept-legacy" in options.osrtp and len(group) == 1 and _twins(first, media)


def _host(offer: Description, media: Media) -> str:
    connection = offer.connection(media)
    return connection.host if connection else ""


def _twins(one: Media, other: Media) -> bool:
    """A secure and a plain m-line with the same formats (FreeSWITCH's `optional` and its kin)."""
    first, second = profiles.find(one.media.proto), profiles.find(other.media.proto)
    return (
        first is not None
        and second is not None
        and first.secure != second.secure
        and set(one.media.formats) == set(other.media.formats)
    )


def _both_agreed(agreed: Exchange, side: str, group: Sequence[int], at: int) -> bool:
    """Two streams that run side by side since an earlier offer are no alternatives, whatever a re-offer looks like."""
    slots = agreed.slots(side)
    if at >= len(slots):
        return False
    mine = slots[at].stream
    others = {slots[one].stream for one in group}
    return mine not in others and agreed.live(mine) is not None and any(agreed.live(one) for one in others)


def streams(offer: Description, found: Sequence[Sequence[int]], agreed: Exchange, side: str) -> list[int]:
    """The stream of each m-line of the offer. A place that was there before keeps its stream; offers that close up
    their ranks after a refused alternative (against RFC 3264 section 8) are understood by kind; the rest is new.
    InvalidSdp when a call would get too many."""
    slots = agreed.slots(side)
    taken: dict[int, int] = {}  # stream -> first m-line of the group that has it
    for group in found:
        stream = _known(offer, group, agreed, slots, taken)
        if stream is not None:
            taken[stream] = group[0]
    stream_of = {at: stream for stream, first in taken.items() for group in found if group[0] == first for at in group}
    first_of = {at: group[0] for group in found for at in group}
    new = len(agreed.lines)
    for at, media in enumerate(offer.media):
        if at in stream_of:
            continue
        if not media.media.port and at < len(slots):
            stream_of[at] = slots[at].stream
        elif first_of.get(at, at) != at:
            stream_of[at] = stream_of[first_of[at]]
        else:
            stream_of[at], new = new, new + 1
    if new > MAX_STREAMS:
        raise invalid(1, f"more than {MAX_STREAMS} streams in one call")
    return [stream_of[at] for at in range(len(offer.media))]


def _known(
    offer: Description, group: Sequence[int], agreed: Exchange, slots: Sequence[Slot], taken: dict[int, int]
) -> int | None:
    kind = offer.media[group[0]].media.kind
    places = [slots[at].stream for at in group if at < len(slots) and slots[at].stream not in taken]
    places.sort(key=lambda stream: agreed.live(stream) is None)
    for stream in places:
        live = agreed.live(stream)
        if live is None or live.kind == kind:
            return stream
    if len(offer.media) < len(slots):
        for stream, line in enumerate(agreed.lines):
            if line.live and line.kind == kind and stream not in taken:
                return stream
    return places[0] if places else None
