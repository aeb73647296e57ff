"""What an m-line's SDP says only where both legs can do it: feedback (RFC 4585) with what it serves, and simulcast (RFC
8853) between browsers (rows G02, G18, G24). Pure.

A leg has feedback by its profile, the F. Many video phones write a=rtcp-fb under RTP/AVP instead, though RFC 4585
section 4.2 has it in AVPF only; by the words AVP-feedback-accept and AVP-feedback-offer they are understood, and
asked so.
"""

from __future__ import annotations

from functools import lru_cache

from appliance.policy.options import MediaOptions
from appliance.protocols.sdp import extensions, formats, profiles
from appliance.protocols.sdp.description import Media
from appliance.protocols.sdp.profiles import Profile
from appliance.values import frozen

FEEDBACK_ATTRIBUTES = frozenset(("rtcp-fb", "rtcp-rsize"))  # meaningless without AVPF (row G24)
BROWSER_ATTRIBUTES = frozenset(("msid", "msid-semantic", "ssrc", "ssrc-group"))  # of a WebRTC leg only (row G18)
SIMULCAST_ATTRIBUTES = frozenset(("rid", "simulcast"))
RETRANSMISSION = frozenset(("rtx",))  # RFC 4588 section 1: feedback asks for it


@frozen
class Together:
    """Of an offer's m-line on its way to the other leg."""

    spoken: bool = False  # the offerer's m-line has no F, and speaks of feedback nevertheless
    asked: bool = False  # so will ours
    feedback: bool = False  # it passes
    browsers: bool = False  # on both legs


def together(media: Media, here: Profile, there: Profile, options: MediaOptions) -> Together:
    """The legs that offered and that is offered to, by their profiles and the request's words."""
    spoken = not here.feedback and options.avp_feedback_from and media.has("rtcp-fb")
    able = here.feedback or spoken
    asked = able and not there.feedback and options.avp_feedback
    return Together(spoken, asked, able and (there.feedback or asked), here.dtls and there.dtls)


def usable(media: Media, both: Together) -> Media:
    """The m-line without formats that the other leg has no use for."""
    return media if both.feedback else formats.without(media, RETRANSMISSION)


def barred(both: Together) -> frozenset[str]:
    """URIs of header extensions that pass between the legs in neither direction."""
    gone = frozenset[str]() if both.feedback else extensions.TRANSPORT_CC
    return gone if both.browsers else gone | extensions.SIMULCAST


@lru_cache(maxsize=64)
def dropped(proto: str, far: str, *, feedback: bool) -> frozenset[str]:
    """Attributes that do not go to a leg of the profile `proto` from one of the profile `far`; `feedback`: both have
    it."""
    gone = frozenset[str]() if feedback else FEEDBACK_ATTRIBUTES
    if not _browser(proto):
        gone |= BROWSER_ATTRIBUTES
    return gone if _browser(proto) and _browser(far) else gone | SIMULCAST_ATTRIBUTES


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls
