"""Key derivation against the RFCs' numbers (A08, SR-6..SR-8)."""

from __future__ import annotations

import pytest

from appliance.protocols.srtp import kdf, suites
from tests.vectors import load


@pytest.mark.parametrize(
    ("file", "case", "auth"),
    [
        ("rfc3711_appendix_b", "kdf_128", "auth_key_94"),
        ("rfc6188_section7", "kdf_192", "auth_key"),
        ("rfc6188_section7", "kdf_256", "auth_key"),
    ],
)
def test_rfc_vectors(file: str, case: str, auth: str) -> None:
    """A08, B05, B07: labels 0, 1, 2 of RFC 3711 B.3 and RFC 6188 sections 7.2 and 7.4."""
    vector = {name: bytes.fromhex(value) for name, value in load(file)[case].items()}
    master = vector["master_key"], vector["master_salt"]
    for label, name in ((kdf.ENCRYPTION, "cipher_key"), (kdf.AUTHENTICATION, auth), (kdf.SALT, "cipher_salt")):
        assert kdf.derive(*master, label, len(vector[name])) == vector[name]


def test_rtcp_has_its_own_keys() -> None:
    """A08: labels 3..5 are other keys."""
    suite = suites.find("AES_CM_128_HMAC_SHA1_80")
    assert suite is not None
    rtp, rtcp = (kdf.session_keys(suite, bytes(16), bytes(14), rtcp=rtcp) for rtcp in (False, True))
    assert len({rtp.cipher, rtcp.cipher}) == len({rtp.auth, rtcp.auth}) == len({rtp.salt, rtcp.salt}) == 2
    assert rtcp.cipher == kdf.derive(bytes(16), bytes(14), 3, 16)


@pytest.mark.parametrize("log2", [1, 8, 24])
def test_keys_change_with_the_period(log2: int) -> None:
    """A08: session keys change exactly when index DIV KDR changes."""
    rate = 1 << log2
    periods = [kdf.period(index, log2) for index in (0, rate - 1, rate, 2 * rate - 1, 2 * rate)]
    assert periods == [0, 0, 1, 1, 2]
    assert kdf.derive(bytes(16), bytes(14), 0, 16, 1) != kdf.derive(bytes(16), bytes(14), 0, 16, 0)
    assert kdf.period(1 << 40, None) == 0


def test_session_keys_are_not_printed() -> None:
    """SR-23."""
    suite = suites.SUITES[0]
    keys = kdf.session_keys(suite, bytes(32), bytes(12), rtcp=False)
    assert repr(keys) == "SessionKeys()"
