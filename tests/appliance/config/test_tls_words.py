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
    ],
)
def test_versions(text: str, versions: tuple[str, ...], legacy: tuple[str, ...], method: str) -> None:
    """H14."""
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
