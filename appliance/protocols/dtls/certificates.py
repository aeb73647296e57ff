"""Certificates of ours: self-signed, P-256 (RFC 8827 section 6.5). The fingerprint in SDP is what makes them trusted,
so they say nothing about us (RFC 5763 section 6.1: anonymity)."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.calls.media import LocalCertificate

COMMON_NAME = "WebRTC"  # what browsers write: who reads it learns nothing
CLOCK_SKEW = timedelta(days=1)
VALID = timedelta(days=30)
_POINT = 65  # octets of an uncompressed point of P-256; the last ones of its key info, in DER as in PKCS #8
_SERIAL = 16  # octets; the first one is never 0 nor above 127, so that DER needs just so many


def make(now: datetime, valid: timedelta = VALID) -> LocalCertificate:
    """A new key and its certificate; 45 us. `now` is UTC, and counts by the hour; peers with slow clocks accept it."""
    made = ec.generate_private_key(ec.SECP256R1())
    key = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    front, middle, back = _pattern(now.replace(minute=0, second=0, microsecond=0), valid)
    serial = os.urandom(_SERIAL)
    body = b"".join((front, bytes((serial[0] & 0x3F | 0x40,)), serial[1:], middle, key[-_POINT:], back))
    signature = made.sign(body, ec.ECDSA(hashes.SHA256()))
    bits = b"\x03" + _length(len(signature) + 1) + b"\0" + signature
    content = body + _ALGORITHM + bits
    return LocalCertificate(b"\x30" + _length(len(content)) + content, key)


@lru_cache(maxsize=4)
def _pattern(now: datetime, valid: timedelta) -> tuple[bytes, bytes, bytes]:
    """What certificates of an hour have in common: before the serial number, between it and the public key, behind that
    (RFC 5280 section 4.1.2). The library writes one; writing each would take twice as long as signing it."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-_POINT:]
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    serial = b"\x7f" * _SERIAL
    body = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(int.from_bytes(serial, "big")).not_valid_before(now - CLOCK_SKEW).not_valid_after(now + valid)
        .sign(key, hashes.SHA256()).tbs_certificate_bytes
    )  # fmt: skip
    front, _, rest = body.partition(serial)
    middle, _, back = rest.partition(point)
    return front, middle, back


_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256 (RFC 5758 section 3.2)


def _length(octets: int) -> bytes:
    """Of a DER value that is shorter than 65,536 octets."""
    if octets < 0x80:
        return bytes((octets,))
    return bytes((0x81, octets)) if octets < 0x100 else b"\x82" + octets.to_bytes(2, "big")
