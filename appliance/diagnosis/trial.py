"""Trial on one kept packet: under which key, tag, MKI and rollover counter does it verify?

What was agreed is tried first and then what differs from it in few things. A match is proof: a tag of 32 bits or more
verified. Counter mode, f8 and NULL share their authentication, so a packet says nothing about the cipher of an
HMAC suite (RFC 3711 section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hmac import compare_digest

from appliance.calls.media import ContextSpec, MasterKey
from appliance.protocols.srtp import kdf, suites
from appliance.protocols.srtp.kdf import SessionKeys
from appliance.protocols.srtp.packet import SRTCP_WORD, Drop, read_header
from appliance.protocols.srtp.suites import Suite
from appliance.protocols.srtp.transform import Place, authenticate, gcm_open, srtcp_word

HMAC_TAGS = (10, 4)  # octets; shorter ones prove nothing
GCM_TAGS = (16, 8)
MKI_OCTETS = (0, 1, 4, 2)
ROC_NEAR = 8  # turns
MOST_KEYS = 16  # candidates of one trial
LEGACY_SALT = 8  # octets of the salt that libsrtp 2.2 to 2.7 take for key (key-management.md section 6, trap 1)


class Origin(StrEnum):
    """Whose key it is, in the order of trial."""

    AGREED = "agreed"
    OURS = "ours"  # what we send with towards the same leg
    EARLIER = "earlier"
    OTHER_LEG = "other-leg"
    OTHER_STREAM = "other-stream"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that may explain the packet."""

    origin: Origin
    key: MasterKey = field(repr=False)
    legacy_192: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """How the packet verifies."""

    origin: Origin
    tag: int  # octets
    mki: int  # octets
    roc: int | None  # None: SRTCP, which says its index
    legacy_192: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A packet and what was agreed about it."""

    packet: bytes = field(repr=False)
    rtcp: bool
    spec: ContextSpec
    candidates: Sequence[Candidate]
    roc: int = 0  # where the receiver is


def candidates(
    spec: ContextSpec, ours: ContextSpec | None, earlier: Iterable[ContextSpec] = (),
    other_leg: Iterable[ContextSpec] = (), other_streams: Iterable[ContextSpec] = (),
) -> tuple[Candidate, ...]:  # fmt: skip
    """The keys of a call that fit the agreed suite, in order of trial, each once; AES-192 in both derivations."""
    suite = _suite(spec)
    found: dict[tuple[bytes, bytes, bool], Candidate] = {}
    for origin, contexts in (
        (Origin.AGREED, (spec,)),
        (Origin.OURS, (ours,) if ours else ()),
        (Origin.EARLIER, tuple(earlier)),
        (Origin.OTHER_LEG, tuple(other_leg)),
        (Origin.OTHER_STREAM, tuple(other_streams)),
    ):
        for context in contexts:
            for key in context.keys:
                if (len(key.key), len(key.salt)) != (suite.key_octets, suite.salt_octets):
                    continue
                for legacy in (spec.legacy_192, not spec.legacy_192) if _has_legacy(suite) else (False,):
                    found.setdefault((key.key, key.salt, legacy), Candidate(origin, key, legacy))
    return tuple(found.values())[:MOST_KEYS]


def solve(question: Question) -> Match | None:
    """The nearest explanation, or None."""
    suite = _suite(question.spec)
    for candidate in question.candidates:
        keys = session_keys(suite, candidate, rtcp=question.rtcp)
        for tag, mki in _layouts(question, suite):
            found = _verify(question, suite, keys, tag, mki)
            if found is not None:
                return Match(candidate.origin, tag, mki, None if question.rtcp else found, candidate.legacy_192)
    return None


def agreed_tag(spec: ContextSpec, *, rtcp: bool) -> int:
    """Octets of the tag that the context expects."""
    suite = _suite(spec)
    if rtcp:
        return suite.rtp_tag if spec.srtcp_tag_as_srtp else suite.rtcp_tag
    return suite.rtp_tag if spec.authenticate_rtp else 0


def mki_octets(spec: ContextSpec) -> int:
    return len(spec.keys[0].mki) if spec.keys else 0


def session_keys(suite: Suite, candidate: Candidate, *, rtcp: bool) -> SessionKeys:
    """As RFC 3711 and 6188 say, or for AES-192 as libsrtp 2.2 to 2.7 do: the PRF is AES-256 under key || first 8 octets
    of salt, its salt the other 6."""
    key, salt = candidate.key.key, candidate.key.salt
    if candidate.legacy_192:
        key, salt = key + salt[:LEGACY_SALT], salt[LEGACY_SALT:]
    return kdf.session_keys(suite, key, salt, rtcp=rtcp)


def _suite(spec: ContextSpec) -> Suite:
    suite = suites.find(spec.suite)
    if suite is None:
        raise ValueError("a context of no known suite")
    return suite


def _has_legacy(suite: Suite) -> bool:
    return suite.key_octets == 24


def _layouts(question: Question, suite: Suite) -> Iterator[tuple[int, int]]:
    """(tag, MKI) in octets, the agreed ones first; each once."""
    tags = GCM_TAGS if suite.auth == "NONE" else HMAC_TAGS
    agreed, mki = agreed_tag(question.spec, rtcp=question.rtcp), mki_octets(question.spec)
    all_tags = dict.fromkeys((*((agreed,) if agreed in tags else ()), *tags))
    for length in dict.fromkeys((mki, *MKI_OCTETS)):
        for tag in all_tags:
            yield tag, length


def _verify(question: Question, suite: Suite, keys: SessionKeys, tag: int, mki: int) -> int | None:
    """The ROC (0 for SRTCP) under which the packet verifies with this layout."""
    packet, rtcp = question.packet, question.rtcp
    header = read_header(packet, tag + mki + (SRTCP_WORD if rtcp else 0), rtcp=rtcp)
    if isinstance(header, Drop):
        return None
    aead = suite.auth == "NONE"
    if rtcp:
        return _verify_rtcp(packet, keys, tag, mki, aead=aead, ssrc=header.ssrc)
    body_end = len(packet) - tag - mki
    for roc in _rocs(question.roc):
        place = Place(header.ssrc, roc << 16 | header.sequence, packet[:12], rtcp=False)
        if aead:
            clear, secret = packet[: header.octets], packet[header.octets : body_end + tag]
            if not question.spec.encrypt_rtp:
                clear, secret = packet[:body_end], packet[body_end : body_end + tag]
            verified = gcm_open(keys, place, clear, secret, tag) is not None
        else:
            verified = compare_digest(authenticate(keys, place, packet[:body_end], tag), packet[len(packet) - tag :])
        if verified:
            return roc
    return None


def _verify_rtcp(packet: bytes, keys: SessionKeys, tag: int, mki: int, *, aead: bool, ssrc: int) -> int | None:
    """SRTCP carries its index and E flag: after the tag with AEAD suites, before it (and the MKI) with the others."""
    word_at = len(packet) - mki - SRTCP_WORD - (0 if aead else tag)
    word = int.from_bytes(packet[word_at : word_at + SRTCP_WORD], "big")
    place = Place(ssrc, word & 0x7FFFFFFF, packet[:8], rtcp=True, encrypted=bool(word >> 31))
    if not aead:
        covered = packet[: word_at + SRTCP_WORD]
        return 0 if compare_digest(authenticate(keys, place, covered, tag), packet[len(packet) - tag :]) else None
    body_end = word_at - tag
    clear_end = 8 if place.encrypted else body_end
    associated = packet[:clear_end] + srtcp_word(place.index, encrypted=place.encrypted)
    return 0 if gcm_open(keys, place, associated, packet[clear_end:word_at], tag) is not None else None


def _rocs(here: int) -> Iterator[int]:
    """Where the receiver is, 0, then outwards."""
    near = [here, 0]
    for step in range(1, ROC_NEAR + 1):
        near += [here + step, here - step]
    yield from dict.fromkeys(roc for roc in near if 0 <= roc < 1 << 32)
