"""Payload types and header extension ids between two legs that number them on their own. Pure.

Each leg keeps its numbers for the life of the call (RFC 3264 section 8.3.2, RFC 8285 section 6). An offer's numbers
pass as they are unless one of them means something else on the leg it goes to (row G25); then another is written there.
An answer is always told in the offerer's own numbers. RFC 3264 would let an answerer's own numbers stand (each side
sends what the other side said), but many peers send by their own numbers only, so we translate: towards a leg
everything carries the number that leg's own SDP says, and a number that the peer was told is understood beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from appliance.calls.negotiation_state import LegLine, StreamLine, other
from appliance.protocols.sdp import extensions, formats
from appliance.protocols.sdp.description import Media
from appliance.values import frozen

Known = tuple[tuple[str, str], ...]
Ids = tuple[tuple[int, str], ...]
N = TypeVar("N", int, str)
ONE_OCTET_IDS = range(1, 15)  # RFC 8285 section 4.2: the form every receiver knows


@frozen
class Said:
    """An offer's section as it goes to the other leg, and what each leg has been told by now."""

    source: Media
    mid: str  # the offerer's name of the m-line
    own: Known
    own_ids: Ids
    known: Known  # from here on: of the other leg, as the fields of LegLine
    told: Known
    ids: Ids


def offered(
    source: Media,
    ours: LegLine | None,
    theirs: LegLine | None,
    elsewhere: Mapping[str, str] | None = None,
    mid_extension: int = 0,
    barred: Collection[str] = (),
) -> Said:
    """An offer made on the leg `ours`, to be written for the leg `theirs` (None: nothing was said there yet).
    `elsewhere`: numbers of the other m-lines that may share a port with this one (BUNDLE); `mid_extension`: what MID
    is to be on that leg; `barred`: header extensions that do not go there."""
    codecs = formats.codecs(source)
    known = dict(theirs.known) if theirs else {}
    moved = _moved(codecs, known, elsewhere or {}) if known or elsewhere else {}
    said = told = tuple(codecs.items())
    if moved:
        source = formats.renumbered(source, moved)
        told = tuple((moved.get(number, number), codec) for number, codec in said)
    ids = our_ids = ()  # type: Ids
    mid = source.attribute("mid") or ""
    if source.has("extmap"):
        source, our_ids, ids = _extensions_offered(source, theirs.ids if theirs else (), barred)
    if mid_extension:
        ids += ((mid_extension, extensions.MID),)
    return Said(
        source,
        mid,
        _says(ours.known, said) if ours else said,
        _says(_without(ours.ids, our_ids), our_ids) if ours else our_ids,
        _told(theirs.known, told) if theirs else told,
        tuple(moved.items()),
        _told(theirs.ids, ids) if theirs else ids,
    )


def _says(known: tuple[tuple[N, str], ...], said: tuple[tuple[N, str], ...]) -> tuple[tuple[N, str], ...]:
    """What a peer says of its own numbers holds."""
    numbers = {number for number, _ in said}
    return tuple(pair for pair in known if pair[0] not in numbers) + said


def _told(known: tuple[tuple[N, str], ...], told: tuple[tuple[N, str], ...]) -> tuple[tuple[N, str], ...]:
    """What it is told is new to it, or nothing new."""
    return tuple({**dict(told), **dict(known)}.items())


def _without(ids: Ids, said: Ids) -> Ids:
    """An extension has one id on a leg: the one that the peer gives it."""
    uris = {uri for _, uri in said}
    return tuple(pair for pair in ids if pair[1] not in uris)


def _moved(codecs: Mapping[str, str], known: Mapping[str, str], elsewhere: Mapping[str, str]) -> dict[str, str]:
    """Offered number -> number on the other leg, for those that mean another codec there, or another stream's. A static
    number means the same everywhere, however its codec is spelt."""
    clashing = {
        number: codec
        for number, codec in codecs.items()
        if codec
        and number not in formats.STATIC
        and (known.get(number, codec) not in (codec, "") or (number in elsewhere and number not in known))
    }
    moved: dict[str, str] = {}
    taken = {*codecs, *elsewhere}
    for number, codec in clashing.items():
        again = (one for one, was in known.items() if was == codec and one not in taken)
        free = (one for one in formats.DYNAMIC if one not in known and one not in taken)
        new = next(again, None) or next(free, None)
        if new is not None:  # with 61 dynamic numbers in use there is none left: it stays, as it came
            moved[number] = new
            taken.add(new)
    return moved


def answered(media: Media, offer_formats: Collection[str], line: StreamLine, side: str) -> tuple[Media, StreamLine]:
    """An answer of `side`'s: the section to write for the offerer, and the stream with both legs' translations.
    `offer_formats`: of the m-line that the offerer wrote."""
    mine, offerer = line.leg(side), line.leg(other(side))
    codecs = formats.codecs(media)
    known = dict(offerer.known)
    same = all(
        number in offer_formats and (not codec or known.get(number) == codec) for number, codec in codecs.items()
    )
    if mine.told or not same:
        media, mine, offerer = _translated(media, codecs, offer_formats, mine, offerer)
    if offerer.ids or mine.ids:
        media, mine, offerer = _extensions_answered(media, mine, offerer)
    if mine is line.leg(side):
        return media, line
    return media, line.with_leg(side, mine).with_leg(other(side), offerer)


def _translated(
    media: Media, codecs: Mapping[str, str], offer_formats: Iterable[str], mine: LegLine, offerer: LegLine
) -> tuple[Media, LegLine, LegLine]:
    known = dict(offerer.known)
    offer = {number: known.get(number, "") for number in offer_formats}
    back = {theirs: ours for ours, theirs in mine.told}
    own = _own_numbers(codecs, offer, back)
    changed = {number: new for number, new in own.items() if new != number}
    spoken_for = set(own.values())
    towards = {**back, **{number: new for number, new in own.items() if number not in spoken_for}}
    mine = replace(
        mine,
        known=_says(mine.known, tuple(codecs.items())),
        payload_types=_pairs((new, number) for number, new in own.items()),
    )
    offerer = replace(
        offerer,
        known=_told(offerer.known, tuple((own[number], codec) for number, codec in codecs.items())),
        payload_types=_pairs(towards.items()),
    )
    return formats.renumbered(media, changed) if changed else media, mine, offerer


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


def _extensions_offered(source: Media, known: Ids, barred: Collection[str]) -> tuple[Media, Ids, Ids]:
    """The section to write, what the offerer says by it, and what the other leg is told."""
    own = {number: uri for number, uri in extensions.extensions(source).items() if uri != extensions.ENCRYPTED}
    said = {number: uri for number, uri in own.items() if uri != extensions.MID and uri not in barred}
    there = {uri: number for number, uri in known}
    taken = {number for number, _ in known} | set(said)
    clashing = {number for number, uri in known if said.get(number, uri) != uri}
    new: dict[int, int] = {}
    for number, uri in said.items():
        if uri in there:
            new[number] = there[uri]
        elif number not in clashing:
            new[number] = number
        elif (free := next((one for one in ONE_OCTET_IDS if one not in taken), None)) is not None:
            new[number] = free
            taken.add(free)
    source = extensions.rewritten(source, lambda number, uri: new.get(number) if said.get(number) == uri else None)
    told = tuple((new[number], uri) for number, uri in said.items() if number in new)
    return source, tuple(own.items()), told


def _extensions_answered(media: Media, mine: LegLine, offerer: LegLine) -> tuple[Media, LegLine, LegLine]:
    """Only what the offerer offered, and the answerer was told and took up, passes, and MID never; a placeholder of the
    offer (4096 and more) gets the answerer's number."""
    every = {uri: number for number, uri in offerer.ids if uri != extensions.MID}
    told = {uri for _, uri in mine.ids}
    theirs = {uri: number for uri, number in every.items() if uri in told}
    said = {number: uri for number, uri in extensions.extensions(media).items() if uri in theirs}
    own = {number: theirs[uri] if theirs[uri] <= extensions.LARGEST else number for number, uri in said.items()}
    media = extensions.rewritten(media, lambda number, uri: own.get(number) if said.get(number) == uri else None)
    mid = any(uri == extensions.MID for _, uri in (*offerer.ids, *mine.ids))
    untouched = not mid and len(said) == len(every) and all(number == new for number, new in own.items())
    towards_offerer = None if untouched else tuple(own.items())
    towards_answerer = None if untouched else tuple((new, number) for number, new in own.items())
    answerers = tuple(said.items())
    mine = replace(mine, ids=_says(_without(mine.ids, answerers), answerers), extensions=towards_answerer)
    return media, mine, replace(offerer, extensions=towards_offerer)
