"""BUNDLE (RFC 9143): which m-lines of a leg share a transport. Decided here alone.

Every m-line has ports of its own for now. So a leg with one live m-line is in a group of one (a peer may insist on a
group), several are in none, and an m-line that can only be inside a group is refused. Tried with Chromium: it takes
several m-lines without a group, unless its policy is max-bundle; with a group it takes no answer, to its next offer,
that leaves one of them out. With shared ports `members` names them all and `refusal` nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.policy.options import MediaOptions
from appliance.protocols.sdp import profiles
from appliance.protocols.sdp.description import Description, Media


@dataclass(frozen=True, slots=True)
class Member:
    """A live m-line of a leg that may be in a group, in the order of the SDP."""

    mid: str
    proto: str
    mux: bool


def grouped(offer: Description, media: Media) -> bool:
    """The m-line is in a group of its SDP. A mid without m-line is nobody's (row G17)."""
    mid = media.attribute("mid")
    groups = (value.split() for value in offer.session.attributes("group"))
    return bool(mid) and any(mid in names[1:] for names in groups if names and names[0] == "BUNDLE")


def refusal(offer: Description, at: int, *, new: bool) -> str:
    """Why m-line `at` (from 0) cannot be without a group; "": it can. `new`: its stream does not run yet."""
    media = offer.media[at]
    if media.has("bundle-only"):
        return ONLY
    if not new or media.has("candidate") or not grouped(offer, media):
        return ""
    others = (one for one in offer.media[:at] if one.media.port and grouped(offer, one))
    return ONLY if any(one.has("candidate") for one in others) else ""  # max-bundle: it gathered for the first alone


ONLY = "it can only be in a BUNDLE group, and every m-line has a transport of its own here"


def offers(options: MediaOptions, proto: str) -> bool:
    """Do we offer a group on a leg of this profile? Browsers may insist on one (bundlePolicy max-bundle)."""
    if "reject" in options.bundle:
        return False
    return _browser(proto) or bool(options.bundle & {"offer", "require"})


def accepts(options: MediaOptions, proto: str) -> bool:
    """Do we take an offered group on a leg of this profile? On WebRTC legs; towards SIP it is broken up."""
    return "reject" not in options.bundle and (
        _browser(proto) or bool(options.bundle & {"accept", "strict", "require"})
    )


def members(lines: Sequence[Member]) -> tuple[str, ...]:
    """The mids of our group, of the live m-lines that may be in it; empty: no group. rtcp-mux is a condition (section
    9.3, SDP-16)."""
    return (lines[0].mid,) if len(lines) == 1 and lines[0].mid and lines[0].mux else ()


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls
