"""An authority made for one test run, and certificates for addresses of the lab, with the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def available() -> bool:
    return shutil.which("openssl") is not None


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path

    def together(self, path: Path) -> Path:
        """Both in one PEM file, as phones want them."""
        path.write_bytes(self.key.read_bytes() + self.chain.read_bytes())
        return path


class Authority:
    """Self-signed; its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o711, exist_ok=True)
        self._folder = folder
        self.own = Certificate(folder / "ca.pem", folder / "ca.key")
        _openssl("req", "-x509", *CURVE, "-days", "2", "-subj", "/CN=test authority",
                 "-keyout", self.own.key, "-out", self.own.chain)  # fmt: skip

    def issue(self, address: str, days: int = 2) -> Certificate:
        """A certificate whose subject is this IP address or name (RFC 5922 section 7); `days` 0: already over."""
        made = Certificate(self._folder / f"{address}.pem", self._folder / f"{address}.key")
        request, extensions = (self._folder / f"{address}.{kind}" for kind in ("csr", "ext"))
        own = f"IP:{address}," if address.replace(".", "").isdecimal() or ":" in address else ""
        # mbedTLS 2.28 (linphone) compares with DNS names only, also where it connects to an address.
        extensions.write_text(f"subjectAltName={own}URI:sip:{address},DNS:{address}\n")
        _openssl("req", *CURVE, "-subj", f"/CN={address}", "-keyout", made.key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.own.chain, "-CAkey", self.own.key, "-CAcreateserial",
                 "-days", str(days), "-extfile", extensions, "-out", made.chain)  # fmt: skip
        return made


    def revoke(self, *certificates: Certificate) -> Path:
        """A list of revoked certificates (RFC 5280 section 5), these on it."""
        key = serialization.load_pem_private_key(self.own.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        now = datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(self.own.chain.read_bytes()).subject
        made = x509.CertificateRevocationListBuilder(issuer, now - timedelta(hours=1), now + timedelta(days=2))
        for one in certificates:
            number = x509.load_pem_x509_certificate(one.chain.read_bytes()).serial_number
            gone = x509.RevokedCertificateBuilder(number, now - timedelta(minutes=1)).build()
            made = made.add_revoked_certificate(gone)
        path = self._folder / "revoked.pem"
        path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)
