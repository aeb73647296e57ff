"""What an m-line's SDP says only where both legs can do it: feedback (RFC 4585) with what it serves, and simulcast (RFC
8853) between browsers. By the profiles of both legs (rows G02, G18, G24). Pure."""

from __future__ import annotations

from functools import lru_cache

from appliance.protocols.sdp import extensions, formats, profiles
from appliance.protocols.sdp.description import Media

FEEDBACK_ATTRIBUTES = frozenset(("rtcp-fb", "rtcp-rsize"))  # meaningless without AVPF (row G24)
BROWSER_ATTRIBUTES = frozenset(("msid", "msid-semantic", "ssrc", "ssrc-group"))  # of a WebRTC leg only (row G18)
SIMULCAST_ATTRIBUTES = frozenset(("rid", "simulcast"))
RETRANSMISSION = frozenset(("rtx",))  # RFC 4588 section 1: feedback asks for it


@lru_cache(maxsize=64)
def dropped(proto: str, far: str) -> frozenset[str]:
    """Attributes that do not go to a leg of the profile `proto` from one of the profile `far`."""
    gone = frozenset[str]()
    if not feedback(proto, far):
        gone |= FEEDBACK_ATTRIBUTES
    if not _browser(proto):
        gone |= BROWSER_ATTRIBUTES
    return gone if _browser(proto) and _browser(far) else gone | SIMULCAST_ATTRIBUTES


@lru_cache(maxsize=64)
def barred(proto: str, far: str) -> frozenset[str]:
    """URIs of header extensions that pass between such legs in neither direction."""
    gone = frozenset[str]() if feedback(proto, far) else extensions.TRANSPORT_CC
    return gone if _browser(proto) and _browser(far) else gone | extensions.SIMULCAST


def usable(media: Media, proto: str, far: str) -> Media:
    """The m-line of a leg `proto` as it goes to a leg `far`: without formats of no use there."""
    return media if feedback(proto, far) else formats.without(media, RETRANSMISSION)


def feedback(*protos: str) -> bool:
    """RTCP feedback passes where every leg has it."""
    return all(profile is not None and profile.feedback for profile in map(profiles.find, protos))


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls
