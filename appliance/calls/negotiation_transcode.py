"""G.711 of one law for a side that has only the other (row P06): the data plane turns A-law (PCMA, payload type 8) and
mu-law (PCMU, 0) into each other, octet by octet. Clock, packet times and timestamps stay: nothing is repacketised, so
both sides keep one ptime. Pure.

It is asked for by name (`transcode`, `consume`, `accept` of CodecWishes), never done by itself; a codec that both sides
have passes as it is. Every other codec would need decoder and encoder: asked for, it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from appliance.calls.negotiation_state import NO_TRANSCODING, StreamLine, Transcoding, other
from appliance.errors import TranscodingUnavailable
from appliance.policy.codec_wishes import COMPANIONS, CodecWishes, named
from appliance.protocols.sdp import formats
from appliance.protocols.sdp.description import Media

Known = tuple[tuple[str, str], ...]
PCMU, PCMA = "0", "8"
CODECS = {PCMU: "PCMU/8000", PCMA: "PCMA/8000"}
_OTHER = {PCMU: PCMA, PCMA: PCMU}
_LAWS = {PCMU: "pcmu", PCMA: "pcma"}


def speaks(media: Media) -> bool:
    """Whether there is more in an m-line than formats that accompany others."""
    return any(codec.partition("/")[0] not in COMPANIONS for codec in formats.codecs(media).values())


def plan(
    media: Media, kept: Media, wishes: CodecWishes, *, opaque: bool = False
) -> tuple[Transcoding, tuple[str, ...]]:
    """For an offered m-line of which `kept` goes on by itself; and what is asked for and not to be had, though the call
    goes on. `opaque`: others hold the keys of its media. TranscodingUnavailable: a wish for codecs that are not
    offered, and no one of which can be made."""
    if media.media.kind != "audio":
        return NO_TRANSCODING, ()
    usable = [number for number in _laws(media) if not wishes.strips(CODECS[number])]
    added, refused = _added(media, kept, usable, wishes)
    if opaque and added:
        raise TranscodingUnavailable(f"transcode={CODECS[added]}: the gateway has no keys of this media")
    accepted = tuple(number for number in usable if wishes.accepts(CODECS[number]) and not opaque)
    missing = [f"transcode={name}" for name in refused]
    for word, names in (("accept", wishes.accept), ("consume", wishes.consume)):
        others = [codec for codec in formats.codecs(media).values() if codec not in map(str.lower, CODECS.values())]
        missing += [f"{word}={name}" for name in sorted(names) if any(named(codec, {name}) for codec in others)]
    return Transcoding(added, accepted), tuple(missing)


def _laws(media: Media) -> list[str]:
    """The laws of G.711 in an m-line under their own numbers, in order."""
    codecs = formats.codecs(media)
    return [number for number, codec in codecs.items() if number in CODECS and codec == CODECS[number].lower()]


def _added(media: Media, kept: Media, usable: list[str], wishes: CodecWishes) -> tuple[str, list[str]]:
    """Which law is to be made of the other, and the wishes that nothing comes of."""
    there = [codec for codec in formats.codecs(kept).values() if codec]
    added, fulfilled = "", False
    refused: list[str] = []
    foreign = False
    for name in wishes.transcode:
        number = next((one for one, codec in CODECS.items() if named(codec, {name})), "")
        if any(named(codec, {name}) for codec in there):
            fulfilled = True
        elif number and _OTHER[number] in usable and number not in kept.media.formats:
            added = number
        else:
            refused.append(name)
            foreign = foreign or not number
    if foreign and not (added or fulfilled):
        offered = ", ".join(dict.fromkeys(formats.codecs(media).values()))
        raise TranscodingUnavailable(f"transcode={','.join(refused)}: not from {offered}; PCMU and PCMA alone are made")
    return added, refused


def extended(source: Media, transcoding: Transcoding) -> Media:
    """The offer's m-line with what is added: behind the codecs that pass as they are, which are preferred."""
    return _with(source, transcoding.added) if transcoding.added else source


def known(before: Known, transcoding: Transcoding) -> Known:
    """What the leg that is offered to knows then (LegLine.known)."""
    made = transcoding.added
    return before if not made or made in dict(before) else (*before, (made, CODECS[made].lower()))


def _with(media: Media, number: str, at: int | None = None) -> Media:
    """At place `at` of the formats, else behind the last one that carries speech."""
    codecs = formats.codecs(media)
    if at is None:
        speech = [place for place, codec in enumerate(codecs.values()) if codec.partition("/")[0] not in COMPANIONS]
        at = speech[-1] + 1 if speech else 0
    return formats.inserted(media, number, CODECS[number], at)


def answered(media: Media, line: StreamLine, side: str) -> tuple[Media, StreamLine]:
    """An answer of `side`'s as the offerer may read it: what was added is told it as the law that it offered, what is
    accepted besides is in it. The stream, with what that means for packets of both directions."""
    transcoding = line.leg(side).transcoding
    laws = _laws(media) if transcoding else []
    if not laws:
        return media, line
    towards_offerer: list[tuple[int, int, str]] = []
    towards_answerer: list[tuple[int, int, str]] = []
    if (made := transcoding.added) in laws:
        own = _OTHER[made]
        towards_offerer.append(_step(made, own))
        if own not in laws:
            towards_answerer.append(_step(own, made))
        media = _told(media, made, own)
    for number in transcoding.accepted:
        if number not in laws and _OTHER[number] in laws and _OTHER[number] != made:
            towards_answerer.append(_step(number, _OTHER[number]))
            media = _with(media, number)
    changes: Mapping[str, list[tuple[int, int, str]]] = {side: towards_answerer, other(side): towards_offerer}
    for leg, steps in changes.items():
        line = line.with_leg(leg, replace(line.leg(leg), transcode=tuple(steps)))
    return media, line


def _step(number: str, becomes: str) -> tuple[int, int, str]:
    return int(number), int(becomes), _LAWS[becomes]


def _told(media: Media, made: str, own: str) -> Media:
    """The answer with the offerer's law in place of the one that was made of it. Redundant data (RFC 2198) would hold
    the law that is gone: it goes too."""
    at = media.media.formats.index(made)
    kept = [number for number in media.media.formats if number != made]
    carried = formats.followed(media, kept)
    at -= sum(number not in carried for number in media.media.formats[:at])
    rest = formats.only(media, carried)
    return rest if own in carried else _with(rest, own, at)
