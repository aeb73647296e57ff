"""The one table of SRTP suites: every string that SDP, DTLS-SRTP, MIKEY or an operator may name a suite by.

Adding a suite is adding a row (mission.md row A12). Who needs a fact about a suite takes it from here; nobody
compares names. Order is the order of preference without a policy, strongest first (mission.md row B18).

Lifetimes are the ones of the suites' own tables. RFC 6188 section 4 prints 2^31 SRTP packets for AES-192 and AES-256
where libsrtp and the field use 2^48. We take the table (2^31 packets are 497 days of 20 ms audio, so nobody is cut off
by it, and the smaller number is the safe one); `RTP_INDEXES` is what a trunk with liberal lifetimes puts in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

RTP_INDEXES = 1 << 48  # SRTP packets that one master key can ever number (RFC 3711 section 9.2)
RTCP_INDEXES = 1 << 31  # SRTCP packets, the same
LONGEST_TABLE_6188 = 1 << 31  # RFC 6188 section 4, tables 1 to 4

CIPHERS = ("AES_CM", "AES_F8", "AES_GCM", "NULL")
AUTHENTICATIONS = ("HMAC_SHA1", "NONE")


@dataclass(frozen=True, slots=True)
class MikeyPolicy:
    """SRTP policy parameters of MIKEY that stand for a suite (RFC 3830 section 6.10.1, RFC 7714 sections 14.3 and 15).

    Lengths are octets. `aead_tag_octets` is parameter type 20; None: the parameter is not sent."""

    encryption: int  # type 0: 0 NULL, 1 AES-CM, 2 AES-F8, 6 AES-GCM
    encryption_key_octets: int  # type 1
    authentication: int  # type 2: 0 NULL, 1 HMAC-SHA-1
    authentication_key_octets: int  # type 3
    salt_octets: int  # type 4
    authenticates_rtp: bool  # type 10
    tag_octets: int  # type 11
    aead_tag_octets: int | None = None  # type 20


@dataclass(frozen=True, slots=True)
class Suite:
    """One SRTP suite. Octets everywhere; lifetimes are packets under one master key."""

    name: str  # IANA's or the RFC's spelling; the canonical one
    aliases: tuple[str, ...]  # other spellings of the same suite (FreeSWITCH)
    cipher: str  # one of CIPHERS
    auth: str  # one of AUTHENTICATIONS
    key_octets: int
    salt_octets: int
    rtp_tag: int
    rtcp_tag: int
    max_rtp_lifetime: int
    max_rtcp_lifetime: int
    mikey: MikeyPolicy
    dtls_profile: tuple[int, int] | None = None  # use_srtp number (RFC 5764 section 4.1.2)
    openssl_profile: str = ""  # the name OpenSSL knows it by; empty: OpenSSL refuses it
    weak: str = ""  # why it is refused unless a policy names it; empty: allowed

    @property
    def master_octets(self) -> int:
        """Length of the base64-decoded inline key: key and salt (RFC 4568 section 6.1)."""
        return self.key_octets + self.salt_octets

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every string that names this suite, the canonical one first."""
        return (self.name, *self.aliases)


def _gcm(bits: int, tag: int, profile: int | None = None, weak: str = "") -> Suite:
    """An AEAD suite of RFC 7714, or FreeSWITCH's form of it with the 8-octet tag (key-management.md section 3)."""
    name = f"AEAD_AES_{bits}_GCM" + ("" if tag == 16 else f"_{tag}")
    octets = bits // 8
    return Suite(
        name=name, aliases=(), cipher="AES_GCM", auth="NONE",
        key_octets=octets, salt_octets=12, rtp_tag=tag, rtcp_tag=tag,
        max_rtp_lifetime=RTP_INDEXES, max_rtcp_lifetime=RTCP_INDEXES,
        mikey=MikeyPolicy(6, octets, 0, 0, 12, authenticates_rtp=False, tag_octets=0, aead_tag_octets=tag),
        dtls_profile=None if profile is None else (0, profile),
        openssl_profile="" if profile is None else f"SRTP_{name}",
        weak=weak,
    )  # fmt: skip


def _hmac(name: str, cipher: str, octets: int, tag: int, *, alias: str = "", lifetime: int = RTP_INDEXES,
          profile: tuple[int, str] | None = None, weak: str = "") -> Suite:  # fmt: skip
    """A suite of RFC 3711, 4568 or 6188. The SRTCP tag is 10 octets whatever SRTP's is (RFC 3711 section 5.2)."""
    encryption = {"AES_CM": 1, "AES_F8": 2, "NULL": 0}[cipher]
    return Suite(
        name=name, aliases=(alias,) if alias else (), cipher=cipher, auth="HMAC_SHA1",
        key_octets=octets, salt_octets=14, rtp_tag=tag, rtcp_tag=10,
        max_rtp_lifetime=lifetime, max_rtcp_lifetime=RTCP_INDEXES,
        mikey=MikeyPolicy(encryption, octets, 1, 20, 14, authenticates_rtp=tag > 0, tag_octets=tag or 10),
        dtls_profile=(0, profile[0]) if profile else None,
        openssl_profile=profile[1] if profile else "",
        weak=weak,
    )  # fmt: skip


_SHORT_AEAD_TAG = "an 8-octet AEAD tag is no SRTP standard and was found too risky (RFC 7714 section 13.2)"
_NO_AUTHENTICATION = "SRTP without authentication is not recommended (RFC 3711 section 7.5)"
_NO_ENCRYPTION = "media is not encrypted"

_rows: list[Suite] = [
    _gcm(256, 16, 8),
    _gcm(128, 16, 7),
    _gcm(256, 8, weak=_SHORT_AEAD_TAG),
    _gcm(128, 8, weak=_SHORT_AEAD_TAG),
    _hmac("AES_256_CM_HMAC_SHA1_80", "AES_CM", 32, 10, alias="AES_CM_256_HMAC_SHA1_80", lifetime=LONGEST_TABLE_6188),
    _hmac("AES_192_CM_HMAC_SHA1_80", "AES_CM", 24, 10, alias="AES_CM_192_HMAC_SHA1_80", lifetime=LONGEST_TABLE_6188),
    _hmac("AES_CM_128_HMAC_SHA1_80", "AES_CM", 16, 10, profile=(1, "SRTP_AES128_CM_SHA1_80")),
    _hmac("AES_256_CM_HMAC_SHA1_32", "AES_CM", 32, 4, alias="AES_CM_256_HMAC_SHA1_32", lifetime=LONGEST_TABLE_6188),
    _hmac("AES_192_CM_HMAC_SHA1_32", "AES_CM", 24, 4, alias="AES_CM_192_HMAC_SHA1_32", lifetime=LONGEST_TABLE_6188),
    _hmac("AES_CM_128_HMAC_SHA1_32", "AES_CM", 16, 4, profile=(2, "SRTP_AES128_CM_SHA1_32")),
    _hmac("F8_128_HMAC_SHA1_80", "AES_F8", 16, 10),
    _hmac("F8_128_HMAC_SHA1_32", "AES_F8", 16, 4),
    _hmac("AES_CM_128_NULL_AUTH", "AES_CM", 16, 0, weak=_NO_AUTHENTICATION),
    _hmac("NULL_HMAC_SHA1_80", "NULL", 16, 10, lifetime=1 << 31, profile=(5, ""), weak=_NO_ENCRYPTION),
    _hmac("NULL_HMAC_SHA1_32", "NULL", 16, 4, lifetime=1 << 31, profile=(6, ""), weak=_NO_ENCRYPTION),
]
_by_spelling: dict[str, Suite] = {spelling.upper(): row for row in _rows for spelling in row.spellings}

SUITES: Sequence[Suite] = _rows
"""Every suite, strongest first. Weak ones are in it: who offers or accepts them asks the policy."""


def find(name: str) -> Suite | None:
    """The suite of this spelling, compared as a whole token without regard to case; None when there is none.

    Whole tokens matter: `AEAD_AES_256_GCM` is a prefix of `AEAD_AES_256_GCM_8` (mission.md trap 3)."""
    return _by_spelling.get(name.upper())


def register(suite: Suite) -> None:
    """Add a suite at the weak end of the table. ValueError when a name is taken or the row contradicts itself."""
    _check(suite)
    _rows.append(suite)
    _by_spelling.update({spelling.upper(): suite for spelling in suite.spellings})


@contextmanager
def registered(suite: Suite) -> Iterator[Suite]:
    """`register` for the time of a `with` block."""
    register(suite)
    try:
        yield suite
    finally:
        _rows.remove(suite)
        for spelling in suite.spellings:
            del _by_spelling[spelling.upper()]


def _check(suite: Suite) -> None:
    taken = [spelling for spelling in suite.spellings if find(spelling)]
    if taken:
        raise ValueError(f"suite name already taken: {', '.join(taken)}")
    if suite.cipher not in CIPHERS or suite.auth not in AUTHENTICATIONS:
        raise ValueError(f"{suite.name}: unknown cipher or authentication: {suite.cipher}, {suite.auth}")
    if (suite.cipher == "AES_GCM") != (suite.auth == "NONE"):
        raise ValueError(f"{suite.name}: an AEAD cipher authenticates by itself, every other one needs HMAC_SHA1")
    if suite.key_octets not in (16, 24, 32) or not 0 < suite.salt_octets <= 14:
        raise ValueError(f"{suite.name}: key of 16, 24 or 32 octets and salt of 1 to 14 octets needed")
    if not (0 <= suite.rtp_tag <= 20 and 0 <= suite.rtcp_tag <= 20):
        raise ValueError(f"{suite.name}: tags are 0 to 20 octets")
