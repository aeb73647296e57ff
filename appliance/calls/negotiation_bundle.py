"""BUNDLE (RFC 9143): which m-lines of an SDP share a transport, and what they share. Decided here alone; what becomes
of it on a leg is `negotiation_shared`.

A group holds WebRTC legs only: towards SIP it is broken up (row G17). Its first m-line that is in use is *tagged*: its
address, ICE, DTLS and rtcp-mux hold for all (section 7.3, SDP-15), whatever the others say of their own. An m-line
whose payload types mean something to another one of its group, while there is no MID in packets, stays outside; when it
cannot be outside (a=bundle-only, max-bundle) it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from appliance.calls.negotiation_streams import DISCARD_PORT
from appliance.policy.options import MediaOptions
from appliance.protocols.sdp import extensions, profiles
from appliance.protocols.sdp.description import Description, Line, Media, attribute_name
from appliance.values import frozen

MOST = 16  # streams of one port (kernels/flow/routes_table.pxd)
LONGEST_MID = 16  # octets that a one-byte header extension holds (RFC 8285 section 4.2)
SHARED = frozenset((
    "candidate", "end-of-candidates", "ice-ufrag", "ice-pwd", "ice-options", "fingerprint", "setup", "tls-id",
    "rtcp", "rtcp-mux", "rtcp-mux-only",
))  # fmt: skip
"""Attributes of category TRANSPORT and IDENTICAL that we read (RFC 8859)."""

ONLY = "it can only be in a BUNDLE group, and there is none that it fits in"


@frozen
class Member:
    """A live m-line of a leg that may be in a group, in the order of the SDP. `port`: stream whose port it is at."""

    mid: str
    mux: bool
    port: int
    tagged: bool = True  # it is to stand first
    dtls: bool = True  # others may be with it


@frozen
class Group:
    """M-lines of an SDP (from 0). `tagged` is one of `lines`; `source` says what is shared: the tagged one itself, or
    the one before it that had the same transport and is refused."""

    tagged: int
    source: int
    lines: tuple[int, ...]


# ---------------------------------------------------------------- what an SDP says


def grouped(sdp: Description, media: Media) -> bool:
    """The m-line is in a group of its SDP. A mid without m-line is nobody's (row G17)."""
    mid = media.attribute("mid")
    return bool(mid) and any(mid in names for names in _names(sdp))


def _names(sdp: Description) -> list[list[str]]:
    groups = (value.split() for value in sdp.session.attributes("group"))
    return [names[1:] for names in groups if names and names[0] == "BUNDLE"]


def offered(offer: Description, options: MediaOptions, refused: Collection[int]) -> list[Group]:
    """The groups of an offer that we may answer, without the m-lines that are `refused` for other reasons."""
    if "reject" in options.rtcp_mux or not offer.session.has("group"):
        return []  # SDP-16

    def able(at: int) -> bool:
        media = offer.media[at]
        used = media.media.port or media.has("bundle-only")
        return bool(used) and _browser(media.media.proto) and accepts(options, media.media.proto)

    return [found for lines in groups(offer, able) if (found := _tagged(offer, lines, refused)) is not None]


def answered(answer: Description, able: Callable[[int], bool]) -> list[Group]:
    """The groups of an answer. `able`: the m-line was offered as one that may be in a group."""
    if not answer.session.has("group"):
        return []
    found = groups(answer, lambda at: at < len(answer.media) and bool(answer.media[at].media.port) and able(at))
    return [Group(lines[0], lines[0], lines) for lines in found]


def groups(sdp: Description, able: Callable[[int], bool]) -> list[tuple[int, ...]]:
    """The m-lines of each group, in the group's order. Each is in one group at most, a mid that two have is nobody's;
    lines that packets could not be told apart for are left out."""
    mids = [media.attribute("mid") or "" for media in sdp.media]
    found, seen = [], set[int]()
    for names in _names(sdp):
        lines: list[int] = []
        for name in names:
            at = mids.index(name) if mids.count(name) == 1 and len(name.encode()) <= LONGEST_MID else -1
            if at >= 0 and at not in seen and able(at) and len(lines) < MOST and _distinct(sdp, lines, at):
                lines.append(at)
                seen.add(at)
        if lines:
            found.append(tuple(lines))
    return found


def _distinct(sdp: Description, lines: Sequence[int], at: int) -> bool:
    media = sdp.media[at]
    if extension(media):
        return True
    taken = {number for one in lines for number in sdp.media[one].media.formats}
    return taken.isdisjoint(media.media.formats)


def extension(media: Media) -> int:
    """The id of the header extension that carries MID (section 15.1, row G15); 0: none."""
    said = extensions.extensions(media).items()
    return next((number for number, uri in said if uri == extensions.MID and number <= extensions.LARGEST), 0)


def extension_offered(known: Iterable[tuple[int, str]], sources: Sequence[Media]) -> int:
    """The id for MID in an offer of ours to a leg that has said, and been told, `known`; 0: there is none left."""
    known = list(known)
    taken = {number for number, _ in known}
    own = (number for number, uri in known if uri == extensions.MID)
    theirs = (number for source in sources if (number := extension(source)) and number not in taken)
    taken |= {number for source in sources for number in extensions.extensions(source)}
    free = (number for number in range(14, 0, -1) if number not in taken)
    return next(own, None) or next(theirs, None) or next(free, 0)


def _tagged(offer: Description, lines: tuple[int, ...], refused: Collection[int]) -> Group | None:
    left = tuple(at for at in lines if at not in refused)
    for at in left:
        source = next(one for one in lines if one == at or _same(offer, one, at))
        shared = offer.media[source]
        if shared.has("rtcp-mux") and (shared.media.port or offer.attribute(shared, "ice-ufrag")):
            return Group(at, source, left)
    return None


def _same(offer: Description, one: int, other: int) -> bool:
    """One transport, whatever the group says: browsers with max-bundle gather candidates for the first alone."""
    ufrag = offer.media[one].attribute("ice-ufrag")
    return ufrag is not None and ufrag == offer.media[other].attribute("ice-ufrag")


def joined(sdp: Description, groups: Sequence[Group]) -> Description:
    """The SDP with what is shared written into every m-line of a group, and with ports in place of bundle-only's 0."""
    if not groups:
        return sdp
    sections = list(sdp.media)
    for group in groups:
        source = sdp.media[group.source]
        for at in group.lines:
            if at != group.source:
                sections[at] = _carried(sdp.media[at], source)
    return Description(sdp.session, sections)


def _carried(media: Media, source: Media) -> Media:
    lines = [line for line in media.lines if not _of_transport(line)]
    if lines and not lines[-1].end:
        lines[-1] = lines[-1]._replace(end=media.end)
    lines += [line._replace(end=media.end) for line in source.lines if _of_transport(line)]
    port = source.media.port or DISCARD_PORT
    return Media(lines, media.number, media.end, media=replace(media.media, port=port))


def _of_transport(line: Line) -> bool:
    return line.type == "c" or (line.type == "a" and attribute_name(line.value) in SHARED)


def refusal(offer: Description, at: int, *, new: bool) -> str:
    """Why m-line `at` (from 0), which is in no group that we answer, cannot be without one; "": it can. `new`: its
    stream does not run yet."""
    media = offer.media[at]
    if media.has("bundle-only"):
        return ONLY
    if not new or media.has("candidate") or not grouped(offer, media):
        return ""
    others = (one for one in offer.media[:at] if one.media.port and grouped(offer, one))
    return ONLY if any(one.has("candidate") for one in others) else ""  # max-bundle: it gathered for the first alone


# ---------------------------------------------------------------- what we say


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


def members(lines: Sequence[Member], *, offer: bool) -> list[tuple[str, ...]]:
    """The mids of our groups. An offer puts all of its able m-lines into one, those of a port that is shared already
    first; an answer says who shares a port. rtcp-mux is a condition (section 9.3, SDP-16)."""
    able = [line for line in lines if line.mid and line.mux]
    if len(able) > 1:
        able = [line for line in able if line.dtls]
    if not able:
        return []
    if offer:
        ports = [line.port for line in able]
        able = sorted(able, key=lambda line: (ports.count(line.port) < 2, not line.tagged))
        return [tuple(line.mid for line in able)]
    shared: dict[int, list[str]] = {}
    for line in sorted(able, key=lambda line: not line.tagged):
        shared.setdefault(line.port, []).append(line.mid)
    return [tuple(mids) for mids in shared.values() if len(mids) > 1 or len(lines) == 1]


def _browser(proto: str) -> bool:
    profile = profiles.find(proto)
    return profile is not None and profile.dtls
