"""An authority made for one test run, and certificates for addresses of the lab, with the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

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

    def issue(self, address: str) -> Certificate:
        """A certificate whose subject is this IP address (RFC 5922 section 7)."""
        made = Certificate(self._folder / f"{address}.pem", self._folder / f"{address}.key")
        request, extensions = (self._folder / f"{address}.{kind}" for kind in ("csr", "ext"))
        # mbedTLS 2.28 (linphone) compares with DNS names only, also where it connects to an address.
        extensions.write_text(f"subjectAltName=IP:{address},URI:sip:{address},DNS:{address}\n")
        _openssl("req", *CURVE, "-subj", f"/CN={address}", "-keyout", made.key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.own.chain, "-CAkey", self.own.key, "-CAcreateserial",
                 "-days", "2", "-extfile", extensions, "-out", made.chain)  # fmt: skip
        return made


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)
