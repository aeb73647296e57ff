"""The key split (D09, DTLS-8) against exports whose PRF was computed by an independent implementation."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from appliance.calls.media import Fingerprint
from appliance.protocols.dtls import certificates, fingerprints, keys
from appliance.protocols.srtp import suites
from tests import vectors
from tests.appliance.protocols.dtls.wire import NOW, OURS

VECTORS: list[dict[str, Any]] = vectors.load("dtls_srtp_exporter")["vectors"]


def _prf(secret: bytes, label_and_seed: bytes, octets: int, name: str) -> bytes:
    """TLS 1.2 (RFC 5246 section 5)."""
    found, a = b"", label_and_seed
    while len(found) < octets:
        a = hmac.digest(secret, a, name)
        found += hmac.digest(secret, a + label_and_seed, name)
    return found[:octets]


@pytest.mark.row("D09", "DTLS-8")
@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['profile']}-{v['prf_hash']}")
def test_split(vector: dict[str, Any]) -> None:
    suite = keys.by_profile(vector["profile"])
    assert suite is not None and suite.dtls_profile == (0, vector["profile_id"])
    octets = {name: bytes.fromhex(value) for name, value in vector.items() if name.endswith(("key", "salt"))}
    material = bytes.fromhex(vector["exporter"])
    assert len(material) == keys.octets(suite)
    seed = keys.EXPORTER_LABEL + bytes.fromhex(vector["client_random"] + vector["server_random"])
    assert material == _prf(bytes.fromhex(vector["master_secret"]), seed, len(material), vector["prf_hash"])
    send, receive = keys.split(suite, material, client=True)
    assert (send.keys[0].key, send.keys[0].salt) == (octets["client_write_key"], octets["client_write_salt"])
    assert (receive.keys[0].key, receive.keys[0].salt) == (octets["server_write_key"], octets["server_write_salt"])
    assert keys.split(suite, material, client=False) == (receive, send)
    assert send.keys[0].key.hex() not in repr((send, receive))


@pytest.mark.row("D08")
def test_profiles() -> None:
    """The four that OpenSSL has; numbers of RFC 5764 section 4.1.2 and RFC 7714 section 14.2; AEAD first."""
    offered = keys.offered(())
    assert [suite.dtls_profile for suite in offered] == [(0, 8), (0, 7), (0, 1), (0, 2)]
    assert keys.offered(suite.name for suite in suites.SUITES) == offered
    assert keys.offered(["NULL_HMAC_SHA1_80", "nonsense"]) == ()
    assert keys.by_profile("") is None and keys.by_profile("SRTP_NULL_SHA1_80") is None


@pytest.mark.parametrize(("name", "function"), [
    ("sha-1", hashlib.sha1), ("sha-224", hashlib.sha224), ("SHA-256", hashlib.sha256), ("sha-384", hashlib.sha384),
    ("sha-512", hashlib.sha512),
])  # fmt: skip
def test_fingerprints(name: str, function: Any) -> None:
    """DTLS-5."""
    assert fingerprints.of(OURS.certificate, name) == Fingerprint(name.lower(), function(OURS.certificate).digest())


@pytest.mark.parametrize("name", ["md5", "md2", "sha256", ""])
def test_no_such_fingerprint(name: str) -> None:
    with pytest.raises(KeyError):
        fingerprints.of(OURS.certificate, name)


@pytest.mark.row("DTLS-19")
def test_certificates_are_anonymous() -> None:
    """No two alike, nothing of us in them; a key that is not printed."""
    from cryptography import x509

    one, two = certificates.make(NOW), certificates.make(NOW)
    assert one.certificate != two.certificate and one.key != two.key and repr(one.key)[2:-1] not in repr(one)
    first, second = (x509.load_der_x509_certificate(made.certificate) for made in (one, two))
    assert first.subject == second.subject == first.issuer
    assert first.serial_number != second.serial_number
    assert first.not_valid_before_utc < NOW < first.not_valid_after_utc
