"""The table of RTP profiles: what a proto token of an m-line says (RFC 3551, 4585, 3711, 5124, 5764). Another profile
is a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """One proto token. Keys of a secure profile come from SDP (SDES, MIKEY), or with `dtls` from the media path
    only."""

    token: str
    secure: bool
    feedback: bool  # the F: RFC 4585's early feedback
    dtls: bool = False


PROFILES = {
    profile.token: profile
    for profile in (
        Profile("RTP/AVP", secure=False, feedback=False),
        Profile("RTP/AVPF", secure=False, feedback=True),
        Profile("RTP/SAVP", secure=True, feedback=False),
        Profile("RTP/SAVPF", secure=True, feedback=True),
        Profile("UDP/TLS/RTP/SAVP", secure=True, feedback=False, dtls=True),
        Profile("UDP/TLS/RTP/SAVPF", secure=True, feedback=True, dtls=True),
    )
}


def find(token: str) -> Profile | None:
    """The profile of a proto token; None: not one of ours, the m-line is refused with port 0 (G07)."""
    return PROFILES.get(token) or PROFILES.get(token.upper())


def secure(token: str) -> bool:
    """The token demands SRTP by itself (unknown ones demand nothing)."""
    profile = find(token)
    return profile is not None and profile.secure


def variant(profile: Profile, *, secure: bool) -> Profile:
    """The same profile with SDP-keyed security switched on or off, feedback kept."""
    return PROFILES[f"RTP/{'S' if secure else ''}AVP{'F' if profile.feedback else ''}"]
