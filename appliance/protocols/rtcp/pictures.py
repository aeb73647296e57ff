"""Requests for a whole picture: the one that SIP has (RFC 5168) and the one that RTCP has (RFC 4585). Pure."""

from __future__ import annotations

import re
import struct

_UPDATE = re.compile(rb"<(?:[\w.-]{1,32}:)?picture_fast_update\s*/?>")
_PLI = struct.Struct(">BBHII")


def asks_for_picture(body: bytes) -> bool:
    """Whether a body of type application/media_control+xml (RFC 5168 section 4) asks for one. No XML parser: what
    strangers send is looked at for one element."""
    return _UPDATE.search(body[:4096]) is not None


def picture_loss(sender: int, media: int) -> bytes:
    """PLI from SSRC `sender` about SSRC `media`, behind an empty receiver report: a compound that needs no agreement on
    reduced size (RFC 4585 sections 3.1, 6.3.1)."""
    return struct.pack(">BBHI", 0x80, 201, 1, sender) + _PLI.pack(0x81, 206, 2, sender, media)
