"""Payload types and header extension ids between two legs that number them on their own. Pure.

Each leg keeps its numbers for the life of the call (RFC 3264 section 8.3.2, RFC 8285 section 6). An offer's numbers
pass as they are unless one of them means something else on the leg it goes to (row G25); then another is written there.
An answer is always told in the offerer's own numbers. RFC 3264 would let an answerer's own numbers stand (each side
sends what the other side said), but many peers send by their own numbers only, so we translate: towards a leg
everything carries the number that leg's own SDP says, and a number that the peer was told is understood beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from appliance.calls.negotiation_state import LegLine, StreamLine, other
from appliance.protocols.sdp import extensions, formats
from appliance.protocols.sdp.description import Media

Known = tuple[tuple[str, str], ...]
ONE_OCTET_IDS = range(1, 15)  # RFC 8285 section 4.2: the form every receiver knows


def offered(source: Media, ours: LegLine, theirs: LegLine) -> tuple[Media, LegLine, LegLine]:
    """An offer of `ours` towards `theirs`: the section to write, and both legs with what was said."""
    codecs = formats.codecs(source)
    known = dict(theirs.known)
    numbers = _moved(codecs, known) if known else {}
    if numbers:
        source = formats.renumbered(source, numbers)
    told = {numbers.get(number, number): codec for number, codec in codecs.items()}
    ours = replace(ours, known=_learnt(ours.known, codecs))
    theirs = replace(theirs, known=_learnt(theirs.known, told), told=tuple(numbers.items()))
    if any(line.value.startswith("extmap:") for line in source.lines):
        source, ours, theirs = _extensions_offered(source, ours, theirs)
    return source, ours, theirs


def _learnt(known: Known, said: Mapping[str, str]) -> Known:
    """What was said first holds: a peer that breaks the rule is not followed."""
    return tuple({**said, **dict(known)}.items()) if known else tuple(said.items())


def _moved(codecs: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Offered number -> number on the other leg, for those that mean another codec there. A static number means the
    same everywhere, however its codec is spelt."""
    clashing = {
        number: codec
        for number, codec in codecs.items()
        if codec and number not in formats.STATIC and known.get(number, codec) not in (codec, "")
    }
    moved: dict[str, str] = {}
    taken = set(codecs)
    for number, codec in clashing.items():
        again = (one for one, was in known.items() if was == codec and one not in taken)
        free = (one for one in formats.DYNAMIC if one not in known and one not in taken)
        new = next(again, None) or next(free, None)
        if new is not None:  # with 61 dynamic numbers in use there is none left: it stays, as it came
            moved[number] = new
            taken.add(new)
    return moved


def answered(media: Media, offer_formats: Iterable[str], line: StreamLine, side: str) -> tuple[Media, StreamLine]:
    """An answer of `side`'s: the section to write for the offerer, and the stream with both legs' translations.
    `offer_formats`: of the m-line that the offerer wrote."""
    mine, offerer = line.leg(side), line.leg(other(side))
    codecs = formats.codecs(media)
    known = dict(offerer.known)
    offer = {number: known.get(number, "") for number in offer_formats}
    back = {theirs: ours for ours, theirs in mine.told}
    if back or any(offer.get(number) != codec for number, codec in codecs.items()):
        own = _own_numbers(codecs, offer, back)
        changed = {number: new for number, new in own.items() if new != number}
        media = formats.renumbered(media, changed) if changed else media
        towards = dict(back)
        spoken_for = set(own.values())
        for number, new in own.items():
            if number not in spoken_for:
                towards[number] = new
        offerer = replace(offerer, known=_learnt(offerer.known, {own[number]: name for number, name in codecs.items()}))
        mine = replace(mine, payload_types=_pairs((new, number) for number, new in own.items()))
        offerer = replace(offerer, payload_types=_pairs(towards.items()))
    else:
        mine, offerer = replace(mine, payload_types=()), replace(offerer, payload_types=())
    mine = replace(mine, known=_learnt(mine.known, codecs))
    if offerer.ids or mine.ids:
        media, mine, offerer = _extensions_answered(media, mine, offerer)
    return media, line.with_leg(side, mine).with_leg(other(side), offerer)


def _own_numbers(codecs: Mapping[str, str], offer: Mapping[str, str], back: Mapping[str, str]) -> dict[str, str]:
    """Answered number -> the offerer's own number for it."""
    own: dict[str, str] = {}
    for number, codec in codecs.items():
        if number in back:
            own[number] = back[number]
        elif not codec or offer.get(number) == codec:
            own[number] = number
    for number, codec in codecs.items():
        if number in own:
            continue
        given = set(own.values())
        same = (one for one, said in offer.items() if said == codec and one not in given)
        free = (one for one in (number, *formats.DYNAMIC) if one not in given and (one == number or one not in offer))
        own[number] = next(same, None) or next(free, number)
    return own


def _pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(one), int(two)) for one, two in pairs if one != two)


# ---------------------------------------------------------------- header extensions (rows G13 to G15)


def _extensions_offered(source: Media, ours: LegLine, theirs: LegLine) -> tuple[Media, LegLine, LegLine]:
    said = {number: uri for number, uri in extensions.extensions(source).items() if uri != extensions.ENCRYPTED}
    there = {uri: number for number, uri in theirs.ids}
    taken = {number for number, _ in theirs.ids} | set(said)
    new: dict[int, int] = {}
    for number, uri in said.items():
        if there.get(uri, number) == number and dict(theirs.ids).get(number, uri) == uri:
            new[number] = number
        elif uri in there:
            new[number] = there[uri]
        elif (free := next((one for one in ONE_OCTET_IDS if one not in taken), None)) is not None:
            new[number] = free
            taken.add(free)
    source = extensions.rewritten(source, lambda number, uri: new.get(number) if said.get(number) == uri else None)
    told = {new[number]: uri for number, uri in said.items() if number in new}
    return source, replace(ours, ids=_ids(ours, said)), replace(theirs, ids=_ids(theirs, told))


def _ids(leg: LegLine, said: Mapping[int, str]) -> tuple[tuple[int, str], ...]:
    return tuple({**said, **dict(leg.ids)}.items())


def _extensions_answered(media: Media, mine: LegLine, offerer: LegLine) -> tuple[Media, LegLine, LegLine]:
    """Only what the offerer offered and the answerer took up passes; a placeholder of the offer (4096 and more) gets
    the answerer's number."""
    theirs = {uri: number for number, uri in offerer.ids}
    said = {number: uri for number, uri in extensions.extensions(media).items() if uri in theirs}
    own = {number: theirs[uri] if theirs[uri] <= extensions.LARGEST else number for number, uri in said.items()}
    media = extensions.rewritten(media, lambda number, uri: own.get(number) if said.get(number) == uri else None)
    untouched = len(said) == len(theirs) and all(number == new for number, new in own.items())
    towards_offerer = None if untouched else tuple(own.items())
    towards_answerer = None if untouched else tuple((new, number) for number, new in own.items())
    return media, replace(mine, extensions=towards_answerer), replace(offerer, extensions=towards_offerer)
