"""Values of a=fingerprint: the hash of a certificate (RFC 8122 section 5)."""

from __future__ import annotations

import hashlib
import re

OCTETS = {"sha-512": 64, "sha-384": 48, "sha-256": 32, "sha-224": 28, "sha-1": 20}
"""Hash -> octets, the strongest first. MD5 and MD2 must not be used (section 5)."""

BROKEN = frozenset({"md5", "md2"})

_VALUE = re.compile(r" *([!-~]+) +([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*) *\Z")


def parse(value: str) -> tuple[str, bytes] | None:
    """Hash in lower case, and the octets. None: not readable, a hash that nobody defined, or not its length."""
    found = _VALUE.match(value)
    if found is None:
        return None
    name, octets = found[1].lower(), bytes.fromhex(found[2].replace(":", ""))
    return (name, octets) if name in BROKEN or OCTETS.get(name) == len(octets) else None


def emit(name: str, octets: bytes) -> str:
    return f"{name} {octets.hex(':').upper()}"


def of(certificate: bytes, name: str) -> bytes:
    """Fingerprint of a certificate (DER). `name` is one of OCTETS."""
    return hashlib.new(name.replace("-", ""), certificate, usedforsecurity=False).digest()
