"""The suite table against the reference's own strings and numbers (mission.md section B)."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.protocols.srtp import suites

# The reference's 17 strings and rtpengine's two, with key, salt, SRTP tag, SRTCP tag as mission.md prints them.
STRINGS = {
    "AES_CM_128_HMAC_SHA1_80": (16, 14, 10, 10),
    "AES_CM_128_HMAC_SHA1_32": (16, 14, 4, 10),
    "F8_128_HMAC_SHA1_80": (16, 14, 10, 10),
    "F8_128_HMAC_SHA1_32": (16, 14, 4, 10),
    "AES_192_CM_HMAC_SHA1_80": (24, 14, 10, 10),
    "AES_192_CM_HMAC_SHA1_32": (24, 14, 4, 10),
    "AES_256_CM_HMAC_SHA1_80": (32, 14, 10, 10),
    "AES_256_CM_HMAC_SHA1_32": (32, 14, 4, 10),
    "AES_CM_192_HMAC_SHA1_80": (24, 14, 10, 10),
    "AES_CM_192_HMAC_SHA1_32": (24, 14, 4, 10),
    "AES_CM_256_HMAC_SHA1_80": (32, 14, 10, 10),
    "AES_CM_256_HMAC_SHA1_32": (32, 14, 4, 10),
    "AEAD_AES_256_GCM_8": (32, 12, 8, 8),
    "AEAD_AES_128_GCM_8": (16, 12, 8, 8),
    "AEAD_AES_256_GCM": (32, 12, 16, 16),
    "AEAD_AES_128_GCM": (16, 12, 16, 16),
    "AES_CM_128_NULL_AUTH": (16, 14, 0, 10),
    "NULL_HMAC_SHA1_80": (16, 14, 10, 10),
    "NULL_HMAC_SHA1_32": (16, 14, 4, 10),
}


def test_every_string_of_the_reference_is_known() -> None:
    """B01..B17."""
    assert {spelling for suite in suites.SUITES for spelling in suite.spellings} == set(STRINGS)
    for spelling, numbers in STRINGS.items():
        suite = suites.find(spelling)
        assert suite is not None
        assert (suite.key_octets, suite.salt_octets, suite.rtp_tag, suite.rtcp_tag) == numbers
        assert suites.find(spelling.lower()) is suite


@pytest.mark.parametrize("bits", [192, 256])
@pytest.mark.parametrize("tag", [80, 32])
def test_both_spellings_are_one_suite(bits: int, tag: int) -> None:
    """B09..B12: the RFC's spelling is canonical."""
    suite = suites.find(f"AES_CM_{bits}_HMAC_SHA1_{tag}")
    assert suite is suites.find(f"AES_{bits}_CM_HMAC_SHA1_{tag}")
    assert suite is not None and suite.name == f"AES_{bits}_CM_HMAC_SHA1_{tag}"


@pytest.mark.parametrize("text", ["AEAD_AES_256_GCM_", "AEAD_AES_256", "AEAD_AES_256_GCM_8 ", ""])
def test_names_match_as_whole_tokens(text: str) -> None:
    """B13: never matched by a prefix."""
    assert suites.find(text) is None


def test_order_is_the_references_order() -> None:
    """B18: strongest first, 16-octet GCM before, F8 and NULL after the reference's list."""
    assert [suite.name for suite in suites.SUITES] == [
        "AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8",
        "AES_256_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80",
        "AES_256_CM_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_32",
        "F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32",
        "AES_CM_128_NULL_AUTH", "NULL_HMAC_SHA1_80", "NULL_HMAC_SHA1_32",
    ]  # fmt: skip


def test_weak_suites_say_why() -> None:
    """B17 and security-and-faults B10: refused by default, with a reason."""
    assert {suite.name for suite in suites.SUITES if suite.weak} == {
        "AEAD_AES_256_GCM_8", "AEAD_AES_128_GCM_8", "AES_CM_128_NULL_AUTH", "NULL_HMAC_SHA1_80", "NULL_HMAC_SHA1_32",
    }  # fmt: skip


def test_lifetimes() -> None:
    """A17, SR-14: 2^48 and 2^31; RFC 6188's tables say 2^31 for AES-192 and AES-256."""
    for suite in suites.SUITES:
        short = (suite.key_octets > 16 and suite.cipher == "AES_CM") or suite.cipher == "NULL"
        assert suite.max_rtp_lifetime == 2 ** (31 if short else 48)
        assert suite.max_rtcp_lifetime == 2**31


def test_dtls_profiles() -> None:
    """RFC 5764 section 4.1.2, RFC 7714 section 14.2; no number twice."""
    numbers = {suite.dtls_profile: suite.openssl_profile for suite in suites.SUITES if suite.dtls_profile}
    assert numbers == {
        (0, 1): "SRTP_AES128_CM_SHA1_80", (0, 2): "SRTP_AES128_CM_SHA1_32", (0, 5): "", (0, 6): "",
        (0, 7): "SRTP_AEAD_AES_128_GCM", (0, 8): "SRTP_AEAD_AES_256_GCM",
    }  # fmt: skip


def test_mikey_policies_tell_the_suites_apart() -> None:
    """MK-14."""
    policies = [suite.mikey for suite in suites.SUITES]
    assert len(set(policies)) == len(policies)
    aead = [(p.encryption, p.encryption_key_octets, p.aead_tag_octets) for p in policies[:2]]
    assert aead == [(6, 32, 16), (6, 16, 16)]


def test_a_toy_suite_is_one_row() -> None:
    """A12."""
    default = suites.find("AES_CM_128_HMAC_SHA1_80")
    assert default is not None
    toy = dataclasses.replace(default, name="X_TOY_128_HMAC_SHA1_48", aliases=("X_TOY",), rtp_tag=6, dtls_profile=None)
    with suites.registered(toy):
        assert suites.find("x_toy") is toy and toy in suites.SUITES
        with pytest.raises(ValueError, match="already taken"):
            suites.register(dataclasses.replace(toy, aliases=()))
    assert suites.find("X_TOY") is None and toy not in suites.SUITES


@pytest.mark.parametrize(
    "change", [{"cipher": "ROT13"}, {"auth": "NONE"}, {"key_octets": 20}, {"salt_octets": 15}, {"rtp_tag": 21}]
)
def test_a_row_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    default = suites.find("AES_CM_128_HMAC_SHA1_80")
    assert default is not None
    with pytest.raises(ValueError):
        suites.register(dataclasses.replace(default, name="X", aliases=(), **change))  # type: ignore[arg-type]
    assert suites.find("X") is None
