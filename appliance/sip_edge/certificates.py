"""Certificates of the SIP edge as they lie on disk: what they say, and whether Kamailio can use them (J01, J05)."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from appliance.errors import EdgeRefused
from appliance.sip_edge.areas.tls import Domain


class CertificateRefused(EdgeRefused):
    """A file that cannot be used; the message names it and says why, and holds nothing of a key."""

    reason = "certificate-refused"

    def __init__(self, message: str, *, dates: bool = False) -> None:
        super().__init__(message)
        self.dates = dates  # it is not valid yet, or no longer


@dataclass(frozen=True)
class Certificate:
    """One domain's own certificate, the first of its chain. Times in seconds since the epoch."""

    domain: str
    file: Path
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    fingerprint: str  # SHA-256, hex
    chain: int  # certificates in the file
    warnings: tuple[str, ...] = ()

    def days_left(self, now: float) -> float:
        return (self.not_after - now) / 86_400


def read(domain: Domain, now: float, warn_days: float = 14) -> Certificate:
    """The certificate of a domain, after everything that Kamailio would stumble over was looked at: chain and key
    parse and belong together, none of the authorities' or revocation files is broken, the dates hold.
    CertificateRefused."""
    chain = _chain(domain.certificate)
    own = chain[0]
    _check_key(domain.key, own)
    if domain.ca is not None:
        _chain(domain.ca)
    if domain.crl is not None:
        _check_crl(domain.crl)
    begins, ends = own.not_valid_before_utc.timestamp(), own.not_valid_after_utc.timestamp()
    if now >= ends:
        raise CertificateRefused(f"{domain.certificate}: expired on {_date(ends)}", dates=True)
    if now < begins:
        raise CertificateRefused(f"{domain.certificate}: not valid before {_date(begins)}", dates=True)
    return Certificate(
        domain.name, domain.certificate, own.subject.rfc4514_string(), own.issuer.rfc4514_string(), _names(own),
        begins, ends, own.fingerprint(hashes.SHA256()).hex(), len(chain), tuple(_warnings(chain, now, warn_days)),
    )  # fmt: skip


def _warnings(chain: list[x509.Certificate], now: float, warn_days: float) -> Iterator[str]:
    left = (chain[0].not_valid_after_utc.timestamp() - now) / 86_400
    if left < warn_days:
        yield f"ends in {left:.1f} days"
    for lower, upper in itertools.pairwise(chain):
        if lower.issuer != upper.subject:
            yield f"chain is out of order: {lower.subject.rfc4514_string()} is not issued by the one that follows it"
            return


def _chain(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_octets(path))
    except ValueError:
        raise CertificateRefused(f"{path}: holds no certificate in PEM, or a broken one") from None


def _check_key(path: Path, own: x509.Certificate) -> None:
    octets = _octets(path)
    try:
        key = load_pem_private_key(octets, password=None)
    except TypeError:
        hint = f"openssl pkey -in {path} -out KEY-WITHOUT-PASSPHRASE"
        raise CertificateRefused(f"{path}: has a passphrase, which nobody is here to type: {hint}") from None
    except ValueError:
        raise CertificateRefused(f"{path}: holds no private key in PEM, or a broken one") from None
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != own.public_key().public_bytes(*spki):
        raise CertificateRefused(f"{path}: is not the key of the certificate")


def _check_crl(path: Path) -> None:
    try:
        x509.load_pem_x509_crl(_octets(path))
    except ValueError:
        raise CertificateRefused(f"{path}: holds no revocation list in PEM, or a broken one") from None


def _octets(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateRefused(f"{path}: {error.strerror}") from None


def _names(own: x509.Certificate) -> tuple[str, ...]:
    try:
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(str(name.value) for name in found)
    except x509.ExtensionNotFound:
        return tuple(str(name.value) for name in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME))


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
