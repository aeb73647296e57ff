"""Session keys from a master key (RFC 3711 section 4.3, RFC 6188 section 3, RFC 7714 section 11)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.protocols.srtp.suites import Suite

ENCRYPTION, AUTHENTICATION, SALT = 0, 1, 2  # labels for SRTP; SRTCP's are three higher
RTCP_LABELS = 3
HMAC_SHA1_KEY = 20  # octets (RFC 3711 section 5.2)
PRF_SALT = 14  # octets of salt that enter the PRF


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """What one packet is protected with."""

    cipher: bytes = field(repr=False)
    auth: bytes = field(repr=False)
    salt: bytes = field(repr=False)


def session_keys(suite: Suite, key: bytes, salt: bytes, *, rtcp: bool, period: int = 0) -> SessionKeys:
    """The session keys of SRTP or SRTCP; `period` is index DIV key derivation rate, 0 when keys are derived once."""
    first = RTCP_LABELS if rtcp else 0
    return SessionKeys(
        cipher=derive(key, salt, first + ENCRYPTION, suite.key_octets, period),
        auth=derive(key, salt, first + AUTHENTICATION, HMAC_SHA1_KEY, period) if suite.auth == "HMAC_SHA1" else b"",
        salt=derive(key, salt, first + SALT, suite.salt_octets, period),
    )


def period(index: int, kdr_log2: int | None) -> int:
    """index DIV key derivation rate, with x DIV 0 = 0 (RFC 3711 section 4.3.1)."""
    return 0 if kdr_log2 is None else index >> kdr_log2


def derive(key: bytes, salt: bytes, label: int, octets: int, period: int = 0) -> bytes:
    """`octets` of AES-CM keystream under the master key from x = (label || period) xor salt.

    The AES of the PRF is as wide as the key (RFC 6188 section 3.1). A 96-bit salt is padded with zeros on the
    right: RFC 7714 does not say so, but every implementation does it (key-management.md SR-8). The label stands
    above a 48-bit period for SRTCP too; read literally RFC 3711 section 4.3.2 would put it above 32 bits, which
    nobody does."""
    x = int.from_bytes(salt.ljust(PRF_SALT, b"\0"), "big") ^ (label << 48 | period)
    keystream = Cipher(algorithms.AES(key), modes.CTR((x << 16).to_bytes(16, "big"))).encryptor()
    return keystream.update(bytes(octets))
