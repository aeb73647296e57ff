"""BUNDLE (RFC 9143): which m-lines of a leg share a transport. Decided here alone.

Every m-line has ports of its own for now, so the group that we write names one m-line, the first that lives: a peer
takes that for "not bundled" (section 7.3.2), also one that insists on a group. An m-line that exists inside a group
only (a=bundle-only) is refused. With shared ports `members` names more and `refusal` nothing.
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


def refusal(media: Media) -> str:
    """Why the m-line cannot be without a group; "": it can."""
    return "bundle-only: every m-line has a transport of its own here" if media.has("bundle-only") else ""


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
    """The mids of our group; empty: no group. rtcp-mux is a condition (section 9.3, SDP-16)."""
    return next(((line.mid,) for line in lines if line.mid and line.mux), ())


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls
