"""FreeSWITCH's and Kamailio's words for TLS of SIP signalling: `sip_tls_version`, `tls_method`, `sip_tls_ciphers` (rows
H14, H15, J02, J03).

SSL is refused whatever is asked (RFC 6176, RFC 7568), TLS 1.0 and 1.1 unless legacy is allowed in so many words (RFC
8996).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from typing import Any

VERSIONS = ("tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3")
LEGACY = ("tlsv1", "tlsv1.1")
WORDS = {"tlsv1.0": "tlsv1", "sslv23": "tlsv1"}  # sslv23: OpenSSL's name for "whatever both sides can"
REFUSED = ("sslv2", "sslv3")
KAMAILIO = {"tlsv1": "TLSv1", "tlsv1.1": "TLSv1.1", "tlsv1.2": "TLSv1.2"}  # Debian's 5.6.3 has no word for 1.3
ANY = "SSLv23"  # Kamailio's word for what OpenSSL's own configuration permits

_SEPARATOR = re.compile(r"[\s,:|]+")


def versions(text: str) -> tuple[str, ...]:
    """The versions of a list such as `tlsv1.2,tlsv1.3`, lowest first. ValueError names what is not one, or refused."""
    named = set()
    for word in filter(None, _SEPARATOR.split(text.strip().lower())):
        if word in REFUSED:
            raise ValueError(f"{word} is refused: SSL is broken (RFC 6176, RFC 7568)")
        base = word.removesuffix("+")  # Kamailio's TLSv1.2+: that one and all above it
        version = WORDS.get(base, base)
        if version not in VERSIONS:
            raise ValueError(f"unknown TLS version {word!r}; one of {', '.join((*VERSIONS, 'sslv23'))}")
        named.add(version)
        if base == "sslv23":
            named.update(VERSIONS)
        elif word != base:
            named.update(VERSIONS[VERSIONS.index(version) :])
    if not named:
        raise ValueError(f"names no version; one of {', '.join(VERSIONS)}")
    return tuple(version for version in VERSIONS if version in named)


def legacy(named: Iterable[str]) -> tuple[str, ...]:
    """Those of `named` that RFC 8996 forbids."""
    return tuple(version for version in named if version in LEGACY)


def kamailio_method(named: tuple[str, ...]) -> str:
    """Kamailio's tls_method: one version alone, or the lowest and everything above it, which is all that it can say.

    TLS 1.3 alone it cannot say: then OpenSSL's configuration has to (`areas/tls`)."""
    if named == ("tlsv1.3",):
        return ANY
    return KAMAILIO[named[0]] + ("+" if len(named) > 1 else "")


def openssl_ciphers(text: str, named: Iterable[str]) -> str:
    """The cipher string for these versions: TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 does at level 0 only."""
    if not legacy(named) or "@SECLEVEL" in text.upper():
        return text
    return f"{text or 'DEFAULT'}:@SECLEVEL=0"


def expand(text: str) -> tuple[dict[str, Any], ...]:
    """What a cipher string means here, strongest first as negotiated: `openssl ciphers -v` (row J03). TLS 1.3's own
    suites, which the string does not govern, come with it. ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if text:
        ciphers(text)
        context.set_ciphers(text)
    return tuple(context.get_ciphers())  # type: ignore[arg-type]


def ciphers(text: str) -> str:
    """An OpenSSL cipher string that this machine's OpenSSL can make something of. ValueError."""
    text = text.strip()
    if text:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
        except ssl.SSLError:
            raise ValueError(f"{text!r} names no cipher that OpenSSL has here") from None
    return text
