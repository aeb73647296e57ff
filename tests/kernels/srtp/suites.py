"""The suites of mission.md section B as transforms, for tests only (the product's table is in appliance)."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernels.srtp.transform import Transform
from kernels.wire.packet import Drop

VECTORS = Path(__file__).parents[2] / "vectors"


def _hmac(cipher: str, key_octets: int, tag: int, rtcp_tag: int = 10) -> Transform:
    return Transform(cipher, "HMAC_SHA1", key_octets, 14, tag, rtcp_tag)


def _gcm(key_octets: int, tag: int) -> Transform:
    return Transform("AES_GCM", "NONE", key_octets, 12, tag, tag)


SUITES: dict[str, Transform] = {
    "AES_CM_128_HMAC_SHA1_80": _hmac("AES_CM", 16, 10),
    "AES_CM_128_HMAC_SHA1_32": _hmac("AES_CM", 16, 4),
    "AES_192_CM_HMAC_SHA1_80": _hmac("AES_CM", 24, 10),
    "AES_192_CM_HMAC_SHA1_32": _hmac("AES_CM", 24, 4),
    "AES_256_CM_HMAC_SHA1_80": _hmac("AES_CM", 32, 10),
    "AES_256_CM_HMAC_SHA1_32": _hmac("AES_CM", 32, 4),
    "F8_128_HMAC_SHA1_80": _hmac("AES_F8", 16, 10),
    "F8_128_HMAC_SHA1_32": _hmac("AES_F8", 16, 4),
    "AEAD_AES_128_GCM": _gcm(16, 16),
    "AEAD_AES_256_GCM": _gcm(32, 16),
    "AEAD_AES_128_GCM_8": _gcm(16, 8),
    "AEAD_AES_256_GCM_8": _gcm(32, 8),
    "AES_CM_128_NULL_AUTH": _hmac("AES_CM", 16, 0),
    "NULL_HMAC_SHA1_80": _hmac("NULL", 16, 10),
    "NULL_HMAC_SHA1_32": _hmac("NULL", 16, 4),
}
AUTHENTICATED = {name: transform for name, transform in SUITES.items() if transform.rtp_tag}
CM = SUITES["AES_CM_128_HMAC_SHA1_80"]
GCM = SUITES["AEAD_AES_128_GCM"]


def keys(transform: Transform, seed: int = 1) -> tuple[bytes, bytes]:
    """A master key and salt that differ by seed."""
    octets = bytes((seed * 89 + 7 * i) & 0xFF for i in range(transform.key_octets + transform.salt_octets))
    return octets[: transform.key_octets], octets[transform.key_octets :]


def octets(result: bytes | Drop | int) -> bytes:
    """The packet of a call that must have succeeded."""
    assert isinstance(result, bytes), result
    return result


def all_octets(results: list[bytes | Drop]) -> list[bytes]:
    return [octets(result) for result in results]


def vectors(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return loaded
