"""MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 sections 9, 14.5 to 14.7)."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import dataclass, field

from appliance.protocols.stun.attributes import Bad

INTEGRITY = 0x0008
INTEGRITY_SHA256 = 0x001C
FINGERPRINT = 0x8028

_FINGERPRINT_XOR = 0x5354554E


@dataclass(frozen=True, slots=True)
class Signature:
    """What an integrity attribute covers, and its value. Checked by whoever knows the key."""

    covered: bytes = field(repr=False)
    value: bytes = field(repr=False)
    sha256: bool = False

    @classmethod
    def of(cls, data: bytes, at: int, value: bytes, *, sha256: bool) -> Signature:
        """The attribute at octet `at` of the message. Bad: a length that no HMAC has; SHA-256 may be truncated to 16
        octets or more (section 14.6)."""
        if not (16 <= len(value) <= 32 and len(value) % 4 == 0 if sha256 else len(value) == 20):
            raise Bad("integrity length")
        # the length in the header is that of a message which ends with this attribute
        length = (at - 20 + 4 + len(value)).to_bytes(2, "big")
        return cls(data[:2] + length + data[4:at], value, sha256)

    def matches(self, key: bytes) -> bool:
        return hmac.compare_digest(sign(key, self.covered, sha256=self.sha256)[: len(self.value)], self.value)


def sign(key: bytes, covered: bytes, *, sha256: bool = False) -> bytes:
    """HMAC over everything before the attribute, header with adjusted length included."""
    return hmac.digest(key, covered, "sha256" if sha256 else "sha1")


def crc(before: bytes) -> bytes:
    """Value of a FINGERPRINT that ends the message; `before` is all that stands before it."""
    return (zlib.crc32(before) ^ _FINGERPRINT_XOR).to_bytes(4, "big")


def short_term(password: str) -> bytes:
    """Key of short-term credentials, as ICE uses them (section 9.1.1). ICE passwords are ASCII, so OpaqueString changes
    nothing."""
    return password.encode()


def long_term(username: str, realm: str, password: str) -> bytes:
    """Key of long-term credentials under MD5, the algorithm of peers that name none (section 9.2.2). All three
    prepared by the caller (OpaqueString, RFC 8265)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
