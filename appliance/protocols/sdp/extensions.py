"""RTP header extensions of an m-line (`a=extmap`, RFC 8285 section 5): which number stands for which URI, and the text
edits that renumber or drop some of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from appliance.protocols.sdp.description import Line, Media

ENCRYPTED = "urn:ietf:params:rtp-hdrext:encrypt"
"""RFC 6904: the elements of such an extension are encrypted from hop to hop with keys of the SRTP session; we do
neither decrypt nor encrypt them, so they are never taken up."""

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""RFC 9143 section 15.1. It names an m-line of one leg, so it is negotiated and written per leg."""

TRANSPORT_CC = frozenset(
    f"http://www.{where}"
    for where in (
        "ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02",
    )
)
"""Numbers that the feedback message transport-cc reports on."""

SIMULCAST = frozenset(f"urn:ietf:params:rtp-hdrext:sdes:{what}" for what in ("rtp-stream-id", "repaired-rtp-stream-id"))
"""RFC 8852: which of an m-line's encodings (a=rid) a packet is of."""

LARGEST = 255  # ids 1 to 14 fit the one-octet form, up to 255 the other; 4096 and more are placeholders of an offer

_EXTMAP = re.compile(r"extmap:([0-9]{1,4})((?:/[a-z]+)?) +(\S+)(.*)\Z", re.DOTALL)


def extensions(media: Media) -> dict[int, str]:
    """Id -> URI, in the order written. Of an id said twice the first counts; unreadable lines are absent."""
    found: dict[int, str] = {}
    if not media.has("extmap"):
        return found
    for type, value, _ in media.lines:
        if type == "a" and value.startswith("extmap:") and (line := _EXTMAP.match(value)):
            found.setdefault(int(line[1]), line[3])
    return found


def rewritten(media: Media, number: Callable[[int, str], int | None]) -> Media:
    """The section with `number(id, uri)` in place of each id; None takes the line out, unreadable ones go too."""
    lines = []
    for line in media.lines:
        if line.type == "a" and line.value.startswith("extmap:"):
            found = _EXTMAP.match(line.value)
            new = number(int(found[1]), found[3]) if found else None
            if found is None or new is None:
                continue
            line = Line("a", f"extmap:{new}{found[2]} {found[3]}{found[4]}", line.end)
        lines.append(line)
    return Media(lines, media.number, media.end, media=media.media)
