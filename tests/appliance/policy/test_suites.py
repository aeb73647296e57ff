"""Order and permission of suites (B10, B18, B19; NG's SDES words)."""

from __future__ import annotations

import pytest

from appliance.policy.options import SdesOptions, Spelling
from appliance.policy.secure_media import Mode, SecureMedia
from appliance.policy.suites import accepted, offered, spelt, weak_suites
from appliance.protocols.srtp.suites import SUITES, find

STRONG = [suite.name for suite in SUITES if not suite.weak]
CM80, GCM, NULL = "AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM", "NULL_HMAC_SHA1_80"


def names(found: object) -> list[str]:
    return [suite.name for suite in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sdes", "expected"),
    [
        (SdesOptions(), STRONG),
        (SdesOptions(allow_weak=frozenset({NULL})), [*STRONG, NULL]),
        (SdesOptions(suites=(CM80, NULL)), [CM80, NULL]),
        (SdesOptions(suites=(CM80,), without=frozenset({CM80})), [CM80]),  # only- wins over no-
        (SdesOptions(without=frozenset({GCM})), [name for name in STRONG if name != GCM]),
        (SdesOptions(order=(CM80,)), [CM80, *(name for name in STRONG if name != CM80)]),
        (SdesOptions(order=(NULL, CM80)), [CM80, *(name for name in STRONG if name != CM80)]),  # order adds nothing
        (SdesOptions(nonew=True), [CM80]),
        (SdesOptions(suites=("NO_SUCH",)), []),
    ],
)
def test_offered(sdes: SdesOptions, expected: list[str]) -> None:
    assert names(offered(sdes, None, {CM80, NULL})) == expected


def test_request_is_narrower_than_the_trunk() -> None:
    policy = SecureMedia(Mode.MANDATORY, (GCM, CM80))
    assert names(offered(SdesOptions(), policy)) == [GCM, CM80]
    assert names(offered(SdesOptions(suites=(CM80,)), policy)) == [CM80]


def test_accepted() -> None:
    assert names(accepted(SdesOptions(), None)) == STRONG
    assert names(accepted(SdesOptions(offerer_preference=(CM80,)), None))[0] == CM80
    assert names(accepted(SdesOptions(), SecureMedia(Mode.OPTIONAL, (NULL,)))) == [NULL]


def test_weak_suites() -> None:
    """The three switches cover every weak row of the table, each its own."""
    parts = [weak_suites(null_auth=True), weak_suites(null_cipher=True), weak_suites(gcm_8=True)]
    assert parts[0] == {"AES_CM_128_NULL_AUTH"}
    assert all(name.startswith("NULL_") for name in parts[1])
    assert parts[2] == {"AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8"}
    assert sum(map(len, parts)) == len({suite.name for suite in SUITES if suite.weak})
    assert weak_suites() == frozenset()


def test_spelling() -> None:
    suite = find("AES_CM_256_HMAC_SHA1_80")
    assert suite
    assert spelt(suite, Spelling.RFC) == "AES_256_CM_HMAC_SHA1_80"
    assert spelt(suite, Spelling.ALIAS) == "AES_CM_256_HMAC_SHA1_80"
    assert spelt(SUITES[0], Spelling.ALIAS) == SUITES[0].name
