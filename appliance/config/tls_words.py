"""FreeSWITCH's words for TLS of SIP signalling: `sip_tls_version` and `sip_tls_ciphers` (rows H14, H15, J02, J03).

SSL is refused whatever is asked (RFC 6176, RFC 7568), TLS 1.0 and 1.1 unless legacy is allowed in so many words (RFC
8996).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable

VERSIONS = ("tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3")
LEGACY = ("tlsv1", "tlsv1.1")
WORDS = {"tlsv1.0": "tlsv1", "sslv23": "tlsv1"}  # sslv23: OpenSSL's name for "whatever both sides can"
REFUSED = ("sslv2", "sslv3")
KAMAILIO = {"tlsv1": "TLSv1", "tlsv1.1": "TLSv1.1", "tlsv1.2": "TLSv1.2", "tlsv1.3": "TLSv1.3"}

_SEPARATOR = re.compile(r"[\s,:|]+")


def versions(text: str) -> tuple[str, ...]:
    """The versions of a list such as `tlsv1.2,tlsv1.3`, lowest first. ValueError names what is not one, or refused."""
    named = set()
    for word in filter(None, _SEPARATOR.split(text.strip().lower())):
        if word in REFUSED:
            raise ValueError(f"{word} is refused: SSL is broken (RFC 6176, RFC 7568)")
        version = WORDS.get(word, word)
        if version not in VERSIONS:
            raise ValueError(f"unknown TLS version {word!r}; one of {', '.join((*VERSIONS, 'sslv23'))}")
        named.add(version)
        if word == "sslv23":
            named.update(VERSIONS)
    if not named:
        raise ValueError(f"names no version; one of {', '.join(VERSIONS)}")
    return tuple(version for version in VERSIONS if version in named)


def legacy(named: Iterable[str]) -> tuple[str, ...]:
    """Those of `named` that RFC 8996 forbids."""
    return tuple(version for version in named if version in LEGACY)


def kamailio_method(named: tuple[str, ...]) -> str:
    """Kamailio's tls_method: one version alone, or the lowest and everything above it, which is all that it can say."""
    return KAMAILIO[named[0]] + ("+" if len(named) > 1 else "")


def ciphers(text: str) -> str:
    """An OpenSSL cipher string that this machine's OpenSSL can make something of. ValueError."""
    text = text.strip()
    if text:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
        except ssl.SSLError:
            raise ValueError(f"{text!r} names no cipher that OpenSSL has here") from None
    return text
