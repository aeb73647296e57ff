"""FreeSWITCH's policy words (rows H01-H08, H10, H13)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.policy.secure_media import ConfigError, Mode, SecureMedia, TrunkPolicy, parse, parse_suites, resolve

M, O, F = Mode.MANDATORY, Mode.OPTIONAL, Mode.FORBIDDEN  # noqa: E741
CM256_80, CM256_32 = "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"


@pytest.mark.parametrize(
    ("line", "mode", "suites"),
    [
        ("rtp_secure_media=mandatory:AES_CM_256_HMAC_SHA1_80,AES_CM_256_HMAC_SHA1_32", M, (CM256_80, CM256_32)),
        ("rtp_secure_media=true:AES_CM_256_HMAC_SHA1_80,AES_CM_256_HMAC_SHA1_32", M, (CM256_80, CM256_32)),
        ("rtp_secure_media=optional:AES_CM_256_HMAC_SHA1_80", O, (CM256_80,)),
        ("rtp_secure_media=true:AES_CM_256_HMAC_SHA1_80", M, (CM256_80,)),
        ("rtp_secure_media_inbound=true:AEAD_AES_256_GCM_8", M, ("AEAD_AES_256_GCM_8",)),
        ("rtp_secure_media_inbound=mandatory:AEAD_AES_256_GCM_8", M, ("AEAD_AES_256_GCM_8",)),
        ("rtp_secure_media_outbound=true:AEAD_AES_128_GCM_8", M, ("AEAD_AES_128_GCM_8",)),
        ("rtp_secure_media_outbound=optional:AEAD_AES_128_GCM_8", O, ("AEAD_AES_128_GCM_8",)),
    ],
)
def test_lines_of_the_reference(line: str, mode: Mode, suites: tuple[str, ...]) -> None:
    """H08: the eight examples, verbatim."""
    assert parse(line.partition("=")[2]) == SecureMedia(mode, suites)


@pytest.mark.parametrize("separators", [",,", "::", ",:", ":,", "||", ":|", " , : "])
def test_separators(separators: str) -> None:
    """Trap 1, H13: comma, colon and bar, also mixed."""
    first, second = (separators[:1], separators[1:]) if len(separators) == 2 else (" , ", " : ")
    value = f"mandatory{first}{CM256_80}{second}AEAD_AES_256_GCM"
    assert parse(value) == SecureMedia(M, (CM256_80, "AEAD_AES_256_GCM"))


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("mandatory true yes on 1 TRUE Mandatory", M),
        ("optional OPTIONAL", O),
        ("forbidden false no off 0", F),
    ],
)
def test_words(words: str, mode: Mode) -> None:
    """H01-H05."""
    assert all(parse(word).mode is mode for word in words.split())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("mandatory:AES_CM_512_HMAC_SHA1_80", "AES_CM_512_HMAC_SHA1_80"),
        ("mandatory:AES_CM_128_HMAC_SHA1_80,,x", "''"),
        ("mandatory:", "''"),
        ("mandatory:AEAD_AES_256_GCM_", "AEAD_AES_256_GCM_"),
        ("maybe", "maybe"),
        ("", "''"),
    ],
)
def test_mistakes_are_named(value: str, named: str) -> None:
    """H08: an unknown name is a configuration error naming it, never ignored."""
    with pytest.raises(ConfigError, match=named):
        parse(value)


def test_defaults() -> None:
    """H06: unset: take SAVP inbound, offer plain outbound."""
    assert resolve() == TrunkPolicy(SecureMedia(O), SecureMedia(F))


def test_direction_wins() -> None:
    """H07."""
    assert resolve("optional", "forbidden", "mandatory") == TrunkPolicy(SecureMedia(F), SecureMedia(M))
    assert resolve("mandatory", outbound="optional") == TrunkPolicy(SecureMedia(M), SecureMedia(O))


def test_separate_suite_list() -> None:
    """H10: used when none is appended; ignored when forbidden."""
    policy = resolve(
        "optional", outbound="mandatory:AEAD_AES_128_GCM", suite_list="AES_CM_256_HMAC_SHA1_80|AEAD_AES_256_GCM"
    )
    assert policy.inbound == SecureMedia(O, (CM256_80, "AEAD_AES_256_GCM"))
    assert policy.outbound == SecureMedia(M, ("AEAD_AES_128_GCM",))
    assert resolve("forbidden:AEAD_AES_128_GCM", suite_list=CM256_80).outbound == SecureMedia(F)
    assert parse_suites("") == ()
    with pytest.raises(ConfigError, match="FOO"):
        resolve("optional", suite_list="FOO")


@given(st.text(max_size=60))
def test_fuzz(text: str) -> None:
    for value in (text, "mandatory:" + text):
        with contextlib.suppress(ConfigError):
            assert isinstance(parse(value), SecureMedia)
