"""What both ends of a call know once it is answered, and how it is read from the SDP they saw."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

from appliance.protocols.srtp.suites import Suite

Address = tuple[str, int]


class CallFailed(Exception):
    """The call did not come about; the message is for the person who asked for it."""


@dataclass(frozen=True)
class SdpMedia:
    """The first audio line of an SDP body, as its reader must send to it."""

    protocol: str
    rtp: Address
    rtcp: Address
    keys: dict[str, bytes] = field(repr=False)  # suite as spelled -> key and salt
    tags: dict[str, str]


@dataclass(frozen=True)
class Established:
    """A call that is up. The caller speaks plain RTP, the callee SRTP with one suite."""

    gateway_at_caller: SdpMedia
    gateway_at_callee: SdpMedia
    suite: Suite
    gateway_key: bytes = field(repr=False)  # gateway -> callee
    callee_key: bytes = field(repr=False)  # callee -> gateway
    setup_ms: float


def read_sdp(body: str) -> SdpMedia:
    """The first audio line in use. CallFailed when there is none."""
    line = r"^m=audio ([1-9]\d*) (\S+)[^\n]*\n?(.*?)(?=^m=|\Z)"
    media = re.search(line, body.replace("\r", ""), re.MULTILINE | re.DOTALL)
    if media is None:
        raise CallFailed("the gateway answered without audio")
    port, section = int(media[1]), media[3]
    host = _connection(section) or _connection(body)
    rtcp = re.search(r"^a=rtcp:(\d+)(?: IN IP[46] (\S+))?", section, re.MULTILINE)
    if re.search(r"^a=rtcp-mux", section, re.MULTILINE):
        rtcp_at = (host, port)
    else:
        rtcp_at = ((rtcp[2] or host), int(rtcp[1])) if rtcp else (host, port + 1)
    lines = re.findall(r"^a=crypto:(\d+) (\S+) inline:([A-Za-z0-9+/=]+)", section, re.MULTILINE)
    keys = {suite: _decode(inline) for _, suite, inline in lines}
    return SdpMedia(media[2], (host, port), rtcp_at, keys, {suite: tag for tag, suite, _ in lines})


def offered_spelling(offer: SdpMedia, suite: Suite) -> str:
    """How the offer spells `suite`. CallFailed names what is offered instead."""
    for spelling in offer.keys:
        if spelling.upper() in {name.upper() for name in suite.spellings}:
            return spelling
    raise CallFailed(f"the gateway does not offer {suite.name}; it offers {', '.join(offer.keys) or 'no SRTP'}")


def _connection(text: str) -> str:
    found = re.search(r"^c=IN IP[46] (\S+)", text.replace("\r", ""), re.MULTILINE)
    return found[1] if found else ""


def _decode(inline: str) -> bytes:
    try:
        return base64.b64decode(inline + "=" * (-len(inline) % 4))
    except binascii.Error:
        return b""
