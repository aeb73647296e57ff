"""Certificates of a test run: an authority, what it issues, what it takes back (cryptography)."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey
    chain: Path
    key: Path


class Authority:
    """Self-signed; files go to `folder`, named by what they are for."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.own = self._write(name.replace(" ", "-"), *self._make(name, (), None, authority=True))

    @property
    def file(self) -> Path:
        return self.own.chain

    def issue(self, name: str, names: Sequence[str] = (), days: float = 30, since_days: float = -1,
              file: str = "") -> Issued:  # fmt: skip
        """For a common name and subject alternative names: DNS names, addresses, URIs (they hold a colon)."""
        made = self._make(name, names, self.own, days=days, since_days=since_days)
        return self._write(file or name, *made)

    def revoke(self, *issued: Issued, file: str = "crl.pem") -> Path:
        """A revocation list with these certificates."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.own.certificate.subject)
        builder = builder.last_update(now - DAY).next_update(now + DAY)
        for one in issued:
            gone = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(gone.revocation_date(now - DAY).build())
        path = self.folder / file
        path.write_bytes(builder.sign(self.own.private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    def _make(self, name: str, names: Sequence[str], issuer: Issued | None, *, authority: bool = False,
              days: float = 30, since_days: float = -1) -> Pair:  # fmt: skip
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder().subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since_days * DAY).not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )  # fmt: skip
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
        return builder.sign(issuer.private if issuer else key, hashes.SHA256()), key

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
        chain, secret = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption()))  # fmt: skip
        return Issued(certificate, key, chain, secret)


def _general(name: str) -> x509.GeneralName:
    if name.startswith(("sip:", "sips:")):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
