"""A certificate and its key in one PEM file of ours."""

from __future__ import annotations

import contextlib
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from appliance.calls.media import LocalCertificate
from appliance.protocols.dtls import certificates

VALID = timedelta(days=3650)
LONGEST = 65_536  # octets of a file


class UnusableCertificate(Exception):
    """A file that is there and cannot be used. A new certificate in its place would be another identity: an operator
    removes the file when that is meant."""


def load(path: Path) -> LocalCertificate:
    """The one in this file; made when there is none. UnusableCertificate, OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make(path)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
            raise UnusableCertificate(f"{path}: must be a file of user {os.geteuid()} with mode 0600")
        text = file.read(LONGEST)
    try:
        certificate = x509.load_pem_x509_certificate(text)
        key = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:
        raise UnusableCertificate(f"{path}: no certificate with its key: {error}") from None
    if certificate.public_key() != key.public_key():
        raise UnusableCertificate(f"{path}: the key is not the certificate's")
    return LocalCertificate(
        certificate.public_bytes(Encoding.DER), key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )


def _make(path: Path) -> LocalCertificate:
    """Written beside and renamed, so that a crash leaves either none or a whole one."""
    made = certificates.make(datetime.now(UTC), VALID)
    key = serialization.load_der_private_key(made.key, None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    text += x509.load_der_x509_certificate(made.certificate).public_bytes(Encoding.PEM)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return made
