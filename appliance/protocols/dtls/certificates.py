"""Certificates of ours: self-signed, P-256 (RFC 8827 section 6.5). The fingerprint in SDP is what makes them trusted,
so they say nothing about us (RFC 5763 section 6.1: anonymity)."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from appliance.calls.media import LocalCertificate

COMMON_NAME = "WebRTC"  # what browsers write: who reads it learns nothing
CLOCK_SKEW = timedelta(days=1)


def make(now: datetime, valid: timedelta = timedelta(days=30)) -> LocalCertificate:
    """A new key and its certificate; 0.1 ms. `now` is UTC; peers with slow clocks accept it too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - CLOCK_SKEW).not_valid_after(now + valid)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return LocalCertificate(
        certificate.public_bytes(Encoding.DER), key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )
