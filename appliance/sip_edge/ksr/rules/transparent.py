"""SRTP that passes with its keys (row J11): the gateway gets an SDP without them and relays what it cannot read; the
SDP that it writes gets them back. Between two trunks that both say so."""

from __future__ import annotations

import re
from dataclasses import dataclass

PASSED = "transparent"  # trunks.srtp
WORD = "opaque"  # for the gateway
_MEDIA = re.compile(r"^(m=\S+ )(\S+)( )(\S+)(.*)$", re.DOTALL)  # kind, port, profile, the rest
_SECURE = {"RTP/SAVP": "RTP/AVP", "RTP/SAVPF": "RTP/AVPF"}  # of SDES alone: DTLS-SRTP has its keys in the media


@dataclass(frozen=True)
class Kept:
    """What was taken out of one m-section."""

    profile: str = ""
    crypto: tuple[str, ...] = ()  # lines as they came, with their ends


def taken_out(sdp: str) -> tuple[str, tuple[Kept, ...]]:
    """The SDP as one of plain RTP, and what it lost, by m-line."""
    lines: list[str] = []
    kept: list[Kept] = []
    for line in sdp.splitlines(keepends=True):
        if found := _MEDIA.match(line):
            head, port, space, profile, rest = found.groups()
            plain = _SECURE.get(profile.upper(), "")
            kept.append(Kept(profile if plain else ""))
            line = f"{head}{port}{space}{plain or profile}{rest}"
        elif kept and kept[-1].profile and line.startswith("a=crypto:"):
            kept[-1] = Kept(kept[-1].profile, (*kept[-1].crypto, line))
            continue
        lines.append(line)
    return "".join(lines), tuple(kept)


def put_back(sdp: str, kept: tuple[Kept, ...]) -> str:
    """The gateway's SDP with them again: m-lines keep their places (RFC 3264). One that is refused (port 0) needs no
    keys."""
    lines: list[str] = []
    due: tuple[str, ...] = ()
    place = -1
    for line in sdp.splitlines(keepends=True):
        if found := _MEDIA.match(line):
            lines.extend(due)
            place += 1
            head, port, space, profile, rest = found.groups()
            ours = kept[place] if place < len(kept) else Kept()
            due = ours.crypto if port != "0" else ()
            line = f"{head}{port}{space}{ours.profile or profile}{rest}"
        lines.append(line)
    return "".join((*lines, *due))
