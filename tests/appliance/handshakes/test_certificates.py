"""Certificates: a fresh one for each call, the same one for a trunk (DTLS-19; security-and-faults H5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.handshakes import certificates as module
from appliance.handshakes.certificate_file import UnusableCertificate, load
from appliance.handshakes.certificates import CertificatePool, Certificates
from appliance.protocols.dtls import contexts
from appliance.protocols.dtls.certificates import make as made_of
from tests.appliance.handshakes.test_processes import until

pytestmark = pytest.mark.row("DTLS-19")


async def test_the_pool() -> None:
    """Filled beforehand and again; nobody gets one that another had; empty, it still gives."""
    pool = CertificatePool(4)
    await pool.start()
    await until(lambda: len(pool) == 4)
    taken = [pool.take() for _ in range(10)]
    await until(lambda: len(pool) == 4)
    taken += [pool.take() for _ in range(4)]
    assert len({made.certificate for made in taken}) == len({made.key for made in taken}) == 14
    await pool.stop()
    assert len(pool) == 0 and pool.take().certificate


async def test_old_ones_are_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = CertificatePool(2)
    await pool.start()
    await until(lambda: len(pool) == 2)
    waiting = [certificate for _, certificate in pool._ready]
    monkeypatch.setattr(module, "FRESH", timedelta(0))
    assert pool.take() not in waiting
    await pool.stop()


def test_what_is_in_them() -> None:
    """Any parser reads them and finds what the library would have written (RFC 5280); the signature is the key's own.
    Twenty: a signature has 70 to 72 octets, and each field that varies has its beginning in the same place."""
    now = datetime(2026, 11, 26, 1, 59, 58, tzinfo=UTC)
    made = [made_of(now) for _ in range(20)]
    for one in made:
        found = x509.load_der_x509_certificate(one.certificate)
        found.verify_directly_issued_by(found)
        key = serialization.load_der_private_key(one.key, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
        assert found.public_key() == key.public_key()
        assert found.version == x509.Version.v3 and len(found.extensions) == 0
        assert found.subject == found.issuer and found.subject.rfc4514_string() == "CN=WebRTC"
        assert found.not_valid_before_utc == datetime(2026, 11, 25, 1, tzinfo=UTC)
        assert found.not_valid_after_utc == datetime(2026, 12, 26, 1, tzinfo=UTC)
        assert found.serial_number.bit_length() == 127
        assert x509.load_der_x509_certificate(one.certificate).public_bytes(Encoding.DER) == one.certificate
    assert len({x509.load_der_x509_certificate(one.certificate).serial_number for one in made}) == 20


def test_a_trunk_keeps_its_own(tmp_path: Path) -> None:
    """Over a restart; another trunk has another; the file is ours alone and OpenSSL takes what is in it."""
    folder = tmp_path / "dtls"
    first = Certificates(CertificatePool(), folder)
    own = first.of("carrier")
    assert first.of("carrier") is own
    assert Certificates(CertificatePool(), folder).of("carrier") == own
    assert first.of("other") != own != first.of(None)
    assert first.of(None) != first.of(None)
    assert first.of("") == Certificates(CertificatePool(), folder).of("") != own
    assert sorted(path.name for path in folder.iterdir()) == ["_gateway.pem", "carrier.pem", "other.pem"]
    assert (folder / "carrier.pem").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    context = contexts.context((), False)
    assert context is not None and contexts.connection(context, own).get_certificate() is not None


@pytest.mark.parametrize("damage", ["mode", "empty", "cut", "another key", "link"])
def test_files_that_are_not_used(tmp_path: Path, damage: str) -> None:
    """Nor replaced: another certificate would be another identity."""
    path, other = tmp_path / "a.pem", tmp_path / "b.pem"
    load(path), load(other)
    text = path.read_text()
    if damage == "mode":
        path.chmod(0o640)
    elif damage == "empty":
        path.write_text("")
    elif damage == "cut":
        path.write_text(text[: len(text) // 2])
    elif damage == "another key":
        path.write_text(other.read_text()[: text.index("-----BEGIN CERT")] + text[text.index("-----BEGIN CERT") :])
    else:
        path.unlink()
        path.symlink_to(other)
    before = path.read_bytes()
    with pytest.raises((UnusableCertificate, OSError)):
        load(path)
    assert path.read_bytes() == before
