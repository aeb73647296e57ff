"""FreeSWITCH's TLS words (H14, H15; J02, J03)."""

from __future__ import annotations

import pytest

from appliance.config import tls_words as tls


@pytest.mark.parametrize(
    ("text", "versions", "legacy", "method"),
    [
        ("tlsv1,tlsv1.1,tlsv1.2", ("tlsv1", "tlsv1.1", "tlsv1.2"), ("tlsv1", "tlsv1.1"), "TLSv1+"),  # FreeSWITCH's own
        ("tlsv1.2,tlsv1.3", ("tlsv1.2", "tlsv1.3"), (), "TLSv1.2+"),
        ("TLSv1.3 | tlsv1.2", ("tlsv1.2", "tlsv1.3"), (), "TLSv1.2+"),
        ("tlsv1.2", ("tlsv1.2",), (), "TLSv1.2"),
        ("tlsv1.0", ("tlsv1",), ("tlsv1",), "TLSv1"),
        ("sslv23", tls.VERSIONS, tls.LEGACY, "TLSv1+"),
        ("TLSv1.2+", ("tlsv1.2", "tlsv1.3"), (), "TLSv1.2+"),  # Kamailio's
        ("TLSv1+", tls.VERSIONS, tls.LEGACY, "TLSv1+"),
        ("TLSv1.1+", ("tlsv1.1", "tlsv1.2", "tlsv1.3"), ("tlsv1.1",), "TLSv1.1+"),
        ("TLSv1.1", ("tlsv1.1",), ("tlsv1.1",), "TLSv1.1"),
        ("TLSv1.3", ("tlsv1.3",), (), tls.ANY),
        ("TLSv1.3+", ("tlsv1.3",), (), tls.ANY),
    ],
)
def test_versions(text: str, versions: tuple[str, ...], legacy: tuple[str, ...], method: str) -> None:
    """H14, J02: every word of FreeSWITCH and of Kamailio."""
    named = tls.versions(text)
    assert (named, tls.legacy(named), tls.kamailio_method(named)) == (versions, legacy, method)


@pytest.mark.parametrize("word", ["sslv2", "sslv3", "tlsv1.2,SSLv3", "tlsv9", "", " , "])
def test_refused_and_unknown_versions(word: str) -> None:
    """H14, trap 13: SSL never."""
    with pytest.raises(ValueError, match="refused" if "ssl" in word.lower() else "TLS version|names no version"):
        tls.versions(word)


def test_ciphers() -> None:
    """H15: the reference's string is taken, "depends on platform" is asked of the platform."""
    text = "ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH"
    assert tls.ciphers(f" {text} ") == text
    assert tls.ciphers("") == ""
    with pytest.raises(ValueError, match="no cipher"):
        tls.ciphers("NO-SUCH-CIPHER")


def test_expansion() -> None:
    """J03: what the string means on this machine, TLS 1.3's suites with it."""
    found = [cipher["name"] for cipher in tls.expand("ALL:!ADH:!LOW:!EXP:!MD5:@STRENGTH")]
    assert {"ECDHE-RSA-AES256-GCM-SHA384", "TLS_AES_256_GCM_SHA384"} <= set(found)
    assert not [name for name in found if name.startswith(("ADH", "EXP")) or name.endswith("MD5")]
    assert [cipher["name"] for cipher in tls.expand("AES128-SHA") if cipher["protocol"] != "TLSv1.3"] == ["AES128-SHA"]
    with pytest.raises(ValueError, match="no cipher"):
        tls.expand("NO-SUCH-CIPHER")


@pytest.mark.parametrize(
    ("text", "versions", "written"),
    [
        ("", ("tlsv1.2",), ""),
        ("", ("tlsv1", "tlsv1.2"), "DEFAULT:@SECLEVEL=0"),
        ("HIGH", ("tlsv1.1",), "HIGH:@SECLEVEL=0"),
        ("HIGH:@seclevel=1", ("tlsv1",), "HIGH:@seclevel=1"),
    ],
)
def test_legacy_versions_need_a_lower_level(text: str, versions: tuple[str, ...], written: str) -> None:
    """J02: OpenSSL 3 has TLS 1.0 and 1.1 at security level 0 only; nobody else's level is lowered."""
    assert tls.openssl_ciphers(text, versions) == written
