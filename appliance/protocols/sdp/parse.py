"""Octets to a `Description`. Total cost is bounded by the limits below; every refusal is an `InvalidSdp` with line
and rule.

Strict on what can confuse two readers (line ends inside lines, NUL, anything that is not `x=value`), lenient on what
is only missing: `s=` and `t=` may be absent (security-and-faults C7: phones forget them), blank lines may follow the
last line.
"""

from __future__ import annotations

from itertools import pairwise

from appliance.protocols.sdp.description import Description, Line, Media, Section
from appliance.protocols.sdp.fields import MediaLine, invalid

MAX_OCTETS = 65_536  # an NG datagram cannot carry more; the largest offers of browsers are a third of it
MAX_LINE = 16_384  # a=key-mgmt with X.509 certificates is the longest honest line
MAX_LINES = 2_048
MAX_MEDIA = 32  # every m-line may cost four ports, and 0.2 ms to negotiate: 64 with keys took more than 10 ms (C2)
MAX_CRYPTO = 64  # a=crypto lines of one m-line; the whole suite table in every spelling is a third of it


def parse(data: bytes) -> Description:
    """InvalidSdp and nothing else."""
    if len(data) > MAX_OCTETS:
        raise invalid(1, f"longer than {MAX_OCTETS} octets")
    if b"\0" in data:
        raise invalid(data.count(b"\n", 0, data.index(b"\0")) + 1, "NUL octet")
    lines = _lines(data.decode("utf-8", "surrogateescape"))
    if not lines or lines[0][:2] != ("v", "0"):
        raise invalid(1, "must be v=0")
    return _sections(lines)


def _lines(text: str) -> list[Line]:
    pieces = text.split("\n")
    if len(pieces) > MAX_LINES + 1:
        raise invalid(MAX_LINES + 1, f"more than {MAX_LINES} lines")
    if (ordinary := _ordinary(text, len(pieces) - 1)) is not None:
        return ordinary
    last = pieces.pop()
    lines = [_line(piece, "\n", number) for number, piece in enumerate(pieces, 1)]
    if last:
        lines.append(_line(last, "", len(lines) + 1))
    return _without_gaps(lines)


def _ordinary(text: str, count: int) -> list[Line] | None:
    """Of an SDP whose lines all have what they need and end alike, as nearly all do. None: look at each."""
    end = "\r\n" if "\r" in text else "\n"
    pieces = text.split(end)
    if pieces.pop() or len(pieces) != count or (end == "\r\n" and text.count("\r") != count):
        return None
    lines = [
        Line(piece[0], piece[2:], end)
        for piece in pieces
        if piece[1:2] == "=" and "a" <= piece[0] <= "z" and len(piece) < MAX_LINE
    ]
    return lines if len(lines) == count else None


def _line(text: str, end: str, number: int) -> Line:
    if end and text.endswith("\r"):
        text, end = text[:-1], "\r\n"
    if len(text) > MAX_LINE:
        raise invalid(number, f"longer than {MAX_LINE} characters")
    if "\r" in text:
        raise invalid(number, "carriage return inside a line")
    if not text:
        return Line("", "", end)
    if text[1:2] != "=" or not "a" <= text[0] <= "z":
        raise invalid(number, "must be 'x=value'")
    return Line(text[0], text[2:], end)


def _without_gaps(lines: list[Line]) -> list[Line]:
    """Blank lines are tolerated at the end only."""
    blank = next((at for at, line in enumerate(lines) if not line.type), len(lines))
    for at in range(blank, len(lines)):
        if lines[at].type:
            raise invalid(blank + 1, "blank line before the end")
    return lines


def _sections(lines: list[Line]) -> Description:
    starts = [at for at, line in enumerate(lines) if line.type == "m"]
    if len(starts) > MAX_MEDIA:
        raise invalid(starts[MAX_MEDIA] + 1, f"more than {MAX_MEDIA} m= lines")
    end = lines[0].end or "\r\n"
    first = starts[0] if starts else len(lines)
    session = Section(lines[:first], 1, end)
    if session.value("o") is None:
        raise invalid(first + 1, "no o= line in the session part")
    media = []
    for start, stop in pairwise([*starts, len(lines)]):
        body = lines[start:stop]
        section = Media(body, start + 1, end, media=MediaLine.parse(lines[start].value, start + 1))
        if len(section.attributes("crypto")) > MAX_CRYPTO:
            raise invalid(start + 1, f"more than {MAX_CRYPTO} a=crypto lines")
        media.append(section)
    return Description(session, media)
