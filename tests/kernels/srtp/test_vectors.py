"""Known answers of whole packets and of the key derivation."""

from typing import Any

import pytest

from kernels.srtp.kdf import session_key
from kernels.srtp.session import Session
from tests.kernels.srtp.oracle import derive
from tests.kernels.srtp.suites import SUITES, vectors

pytestmark = pytest.mark.usefixtures("every_cipher")

PACKETS = vectors("srtp_suites.json")
ROWS = {row["suite"]: row for row in PACKETS["suites"]}


def pair(name: str, **options: Any) -> tuple[Session, Session]:
    transform = SUITES[name]
    secret = bytes.fromhex(ROWS[name]["key_salt_hex"])
    key, salt = secret[: transform.key_octets], secret[transform.key_octets :]
    return (
        Session(transform, key, salt, send=True, **options),
        Session(transform, key, salt, send=False, **options),
    )


def test_table_is_complete() -> None:
    assert set(ROWS) == set(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_packets_of_every_suite(name: str) -> None:
    """B01..B17, A11, A15, A19: RTP across a wrap (ROC 0 and 1), CSRC, extension, empty payload; SRTCP index 1, 2."""
    sender, receiver = pair(name)
    for row in ROWS[name]["rtp"]:
        plain, protected = bytes.fromhex(row["plain"]), bytes.fromhex(row["protected"])
        assert sender.protect_rtp(plain) == protected
        assert receiver.unprotect_rtp(protected) == plain
        assert len(protected) - len(plain) == SUITES[name].rtp_tag
    for row in ROWS[name]["rtcp"]:
        plain, protected = bytes.fromhex(row["plain"]), bytes.fromhex(row["protected"])
        assert sender.protect_rtcp(plain) == protected
        assert receiver.unprotect_rtcp(protected) == plain


@pytest.mark.parametrize("name", PACKETS["freeswitch_same_policy_for_rtcp"])
def test_freeswitch_rtcp_tags(name: str) -> None:
    """B17, trap 2 of key-management.md: the RTP tag length used for SRTCP as well."""
    suite = SUITES[name]
    transform = type(suite)(suite.cipher, suite.auth, suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtp_tag)
    secret = bytes.fromhex(ROWS[name]["key_salt_hex"])
    sender = Session(transform, secret[:16], secret[16:], send=True)
    for row, wanted in zip(
        ROWS[name]["rtcp"], PACKETS["freeswitch_same_policy_for_rtcp"][name]["srtcp_freeswitch_style"], strict=True
    ):
        assert sender.protect_rtcp(bytes.fromhex(row["plain"])) == bytes.fromhex(wanted)


@pytest.mark.parametrize("name", PACKETS["libsrtp_aes192_legacy"]["suites"])
def test_aes_192_of_old_libsrtp(name: str) -> None:
    """Trap 1 of key-management.md, by a flag; the RFC form is the default."""
    rows = PACKETS["libsrtp_aes192_legacy"]["suites"][name]
    legacy, strict = pair(name, legacy_192=True)[0], pair(name)[0]
    for row in rows:
        plain = bytes.fromhex(row["plain"])
        assert legacy.protect_rtp(plain) == bytes.fromhex(row["protected"])
        assert strict.protect_rtp(plain) != bytes.fromhex(row["protected"])


KDF_ROWS = [
    ("rfc3711_appendix_b.json", "kdf_128"),
    ("rfc6188_section7.json", "kdf_192"),
    ("rfc6188_section7.json", "kdf_256"),
]


@pytest.mark.parametrize(("file", "entry"), KDF_ROWS)
def test_key_derivation(file: str, entry: str) -> None:
    """A08, SR-7: RFC 3711 B.3, RFC 6188 7.2 and 7.4."""
    row = {name: bytes.fromhex(value) for name, value in vectors(file)[entry].items()}
    auth = row.get("auth_key") or row["auth_key_94"]
    for label, wanted in ((0, row["cipher_key"]), (1, auth), (2, row["cipher_salt"])):
        assert session_key(row["master_key"], row["master_salt"], label, len(wanted)) == wanted


@pytest.mark.parametrize("octets", [16, 24, 32])
def test_derivation_of_every_label_and_epoch(octets: int) -> None:
    """A08, SR-6, SR-8: labels 0..5, r up to 48 bits, GCM salt padded on the right; against plain Python."""
    key, salt = bytes(range(octets)), bytes(range(100, 114))
    for label in range(6):
        for epoch in (0, 1, 0x1234, (1 << 47) + 5):
            for used in (salt, salt[:12]):
                assert session_key(key, used, label, 20, epoch) == derive(key, used, label, 20, epoch)
