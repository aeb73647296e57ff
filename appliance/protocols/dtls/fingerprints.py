"""Which certificates a description's fingerprints admit (RFC 8122 section 5)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from appliance.calls.media import Fingerprint

# Strongest first. MD5 and MD2 are not in it: nobody may use them (RFC 8122 section 5). SHA-1 is in it for the peers
# whose trunk allows it: who makes the wish leaves it out otherwise.
HASHES: dict[str, str] = {
    "sha-512": "sha512", "sha-384": "sha384", "sha-256": "sha256", "sha-224": "sha224", "sha-1": "sha1",
}  # fmt: skip
DEFAULT_HASH = "sha-256"


@lru_cache(maxsize=64)
def of(certificate: bytes, hash_name: str = DEFAULT_HASH) -> Fingerprint:
    """Of a certificate (DER). KeyError: a hash that must not be used, or nobody knows. Remembered: ours stand in every
    SDP, and a peer's is asked for before OpenSSL sees it and by OpenSSL."""
    name = hash_name.lower()
    return Fingerprint(name, hashlib.new(HASHES[name], certificate, usedforsecurity=False).digest())


def deciding(listed: Iterable[Fingerprint]) -> tuple[Fingerprint, ...]:
    """Those of the strongest hash that is listed; the others say nothing (section 5.1). Empty: none is usable."""
    listed = tuple(listed)
    if len(listed) == 1:  # as nearly always
        return listed if listed[0].hash.lower() in HASHES else ()
    usable: dict[str, list[Fingerprint]] = {}
    for fingerprint in listed:
        usable.setdefault(fingerprint.hash.lower(), []).append(fingerprint)
    return next((tuple(usable[name]) for name in HASHES if name in usable), ())


def match(certificate: bytes, listed: Iterable[Fingerprint]) -> Fingerprint | None:
    """The fingerprint of this certificate (DER) when it is one of those that decide."""
    candidates = deciding(listed)
    if not candidates:
        return None
    found = of(certificate, candidates[0].hash)
    return found if any(found.value == candidate.value for candidate in candidates) else None
