"""Payload formats of an RTP m-line: which codec a number means, and the text edits that renumber or drop some of them.

A codec is written `name/clock[/channels]` in lower case (`opus/48000/2`); one channel is not written. Nothing else of
a line is touched: `a=fmtp` values pass verbatim, but for the numbers that RED and RTX say inside (RFC 2198, RFC 4588);
so does `a=rid` (RFC 8851).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from appliance.protocols.sdp.description import Line, Media

STATIC = {
    "0": "pcmu/8000", "3": "gsm/8000", "4": "g723/8000", "5": "dvi4/8000", "6": "dvi4/16000", "7": "lpc/8000",
    "8": "pcma/8000", "9": "g722/8000", "10": "l16/44100/2", "11": "l16/44100", "12": "qcelp/8000", "13": "cn/8000",
    "14": "mpa/90000", "15": "g728/8000", "16": "dvi4/11025", "17": "dvi4/22050", "18": "g729/8000",
    "25": "celb/90000", "26": "jpeg/90000", "28": "nv/90000", "31": "h261/90000", "32": "mpv/90000",
    "33": "mp2t/90000", "34": "h263/90000",
}  # fmt: skip
"""RFC 3551 section 6: numbers that need no rtpmap."""

RTCP_NUMBERS = frozenset(map(str, range(64, 96)))
"""Payload types that look like RTCP where both share a port (RFC 5761 section 4, SDP-14)."""

DYNAMIC = tuple(map(str, (*range(96, 128), *range(35, 64))))
"""Numbers we may give out, in the order we do (RFC 3551 section 3; 64 to 95 are RTCP's)."""

NUMBERED = ("rtpmap", "fmtp", "rtcp-fb", "imageattr")  # attributes whose value begins with a payload type
_EVENTS = frozenset({"telephone-event", "cn"})
_APT = re.compile(r"(?<![\w-])(apt=)([0-9]{1,3})(?![0-9])", re.IGNORECASE)
_RID = re.compile(r"(?<=[ ;]pt=)[0-9,]+")  # RFC 8851: formats that an encoding is limited to
_RED = re.compile(r"[0-9]{1,3}(?:/[0-9]{1,3})+\Z")


def codecs(media: Media) -> dict[str, str]:
    """Payload type -> codec for every format of the m-line, in its order; "" where nothing says which."""
    said: dict[str, str] = {}
    for value in media.attributes("rtpmap"):
        number, _, name = value.partition(" ")
        said.setdefault(number, _normal(name))
    return {number: said.get(number) or STATIC.get(number, "") for number in media.media.formats}


def clock(names: Iterable[str]) -> int | None:
    """Clock rate in Hz of these codecs, events and comfort noise aside; None: it depends on which of them comes."""
    rates = {part[1] for part in (name.split("/") for name in names) if len(part) > 1 and part[0] not in _EVENTS}
    rate = rates.pop() if len(rates) == 1 else ""
    return int(rate) or None if rate.isdecimal() and len(rate) < 10 else None


@lru_cache(maxsize=1024)  # the field knows a few dozen; a line may be long, but not by the thousands
def _normal(name: str) -> str:
    return name.strip().lower().removesuffix("/1") if name.count("/") > 1 else name.strip().lower()


def parameters(media: Media) -> dict[str, str]:
    """Payload type -> its first a=fmtp, without spaces: tells apart the formats of one codec (H.264's modes)."""
    found: dict[str, str] = {}
    for value in media.attributes("fmtp"):
        number, _, rest = value.partition(" ")
        found.setdefault(number, rest.replace(" ", ""))
    return found


def renumbered(media: Media, numbers: Mapping[str, str]) -> Media:
    """The section with other payload types (old -> new), at every place that says one."""
    formats = tuple(numbers.get(number, number) for number in media.media.formats)
    red = {number for number, codec in codecs(media).items() if codec.startswith("red/")}
    lines = [Line(type, _renumbered(value, numbers, red), end) if type == "a" else Line(type, value, end)
             for type, value, end in media.lines]  # fmt: skip
    return _section(media, lines, formats)


def _renumbered(value: str, numbers: Mapping[str, str], red: Iterable[str]) -> str:
    name, _, rest = value.partition(":")
    if name == "rid":
        return _RID.sub(lambda found: ",".join(numbers.get(one, one) for one in found[0].split(",")), value)
    if name not in NUMBERED:
        return value
    number, space, said = rest.partition(" ")
    if name == "fmtp":
        said = _APT.sub(lambda found: found[1] + numbers.get(found[2], found[2]), said)
        if number in red and _RED.match(said):
            said = "/".join(numbers.get(one, one) for one in said.split("/"))
    return f"{name}:{numbers.get(number, number)}{space}{said}"


def only(media: Media, kept: Sequence[str]) -> Media:
    """The section with these payload types in this order, and what belongs to the others taken out."""
    gone = set(media.media.formats) - set(kept)
    lines = [line for line in media.lines if not (line.type == "a" and _number(line.value) in gone)]
    return _section(media, lines, tuple(kept))


def without(media: Media, names: Collection[str]) -> Media:
    """The section without formats of these names (`rtx`), unless it has no others."""
    kept = [number for number, codec in codecs(media).items() if codec.partition("/")[0] not in names]
    return only(media, kept) if 0 < len(kept) < len(set(media.media.formats)) else media


def _number(value: str) -> str:
    name, _, rest = value.partition(":")
    return rest.partition(" ")[0] if name in NUMBERED else ""


def inserted(media: Media, number: str, name: str, at: int) -> Media:
    """The section with one more payload type, `name/clock` as rtpmap has it, at place `at`."""
    numbers = [*media.media.formats[:at], number, *media.media.formats[at:]]
    return _section(media, [*media.lines, Line("a", f"rtpmap:{number} {name}", media.end)], tuple(numbers))


def with_parameters(media: Media, changed: Mapping[str, str]) -> Media:
    """The section with other `a=fmtp` values (payload type -> text), behind the rtpmap where there was none."""
    lines, left = [], dict(changed)
    for line in media.lines:
        name, _, rest = line.value.partition(":")
        number = rest.partition(" ")[0]
        if line.type == "a" and name == "fmtp" and number in changed:
            if number in left:
                lines.append(Line("a", f"fmtp:{number} {left.pop(number)}", line.end))
            continue
        lines.append(line)
    for at in range(len(lines) - 1, -1, -1):
        name, _, rest = lines[at].value.partition(":")
        if lines[at].type == "a" and name == "rtpmap" and (number := rest.partition(" ")[0]) in left:
            lines.insert(at + 1, Line("a", f"fmtp:{number} {left.pop(number)}", media.end))
    return _section(media, lines, media.media.formats)


def followed(media: Media, kept: Sequence[str]) -> list[str]:
    """`kept` without RTX and RED formats whose primary is not among them: they carry nothing alone."""
    named, said, here = codecs(media), parameters(media), set(kept)

    def carries(number: str) -> bool:
        name = named[number].partition("/")[0]
        if name == "rtx":
            found = _APT.search(said.get(number, ""))
            return found is None or found[2] in here
        if name == "red" and _RED.match(said.get(number, "")):
            return set(said[number].split("/")) <= here
        return True

    return [number for number in kept if carries(number)]


def _section(media: Media, lines: list[Line], formats: tuple[str, ...]) -> Media:
    edited = Media(lines, media.number, media.end, media=media.media)
    edited.set_media(replace(media.media, formats=formats))
    return edited
