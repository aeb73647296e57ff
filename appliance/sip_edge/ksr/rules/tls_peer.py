"""TLS peers: which names a trunk's certificate must have, and which it has (rows J01, J05; RFC 5922)."""

from __future__ import annotations

import base64
import functools
import ipaddress
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

# DER tags (X.690) and the two object identifiers that are looked for.
SEQUENCE, SET, BOOLEAN, OCTETS, OBJECT, EXTENSIONS = 0x30, 0x31, 0x01, 0x04, 0x06, 0xA3
TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
COMMON_NAME, SUBJECT_ALT_NAME = bytes.fromhex("550403"), bytes.fromhex("551d11")
DNS, URI, ADDRESS = 0x82, 0x86, 0x87  # of GeneralName (RFC 5280 section 4.2.1.6)


@dataclass(frozen=True)
class TlsPeer:
    """What is asked of the certificate of one trunk, and which name it is asked for."""

    trunk: str
    server_name: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TlsRules:
    """Peers with words of their own."""

    peers: tuple[TlsPeer, ...] = ()

    def peer(self, trunk: str) -> TlsPeer | None:
        return next((peer for peer in self.peers if peer.trunk == trunk), None)


def matches(wanted: tuple[str, ...], presented: tuple[str, ...]) -> bool:
    """Does a certificate with these names prove one of the wanted ones? Without a wish everybody does."""
    return not wanted or any(_same(one, other) for one in wanted for other in presented)


@functools.lru_cache(maxsize=256)
def names_in(urlencoded_pem: str) -> tuple[str, ...]:
    """DNS names, addresses and URIs of a certificate as Kamailio gives it; its common name only when it has none of
    them (RFC 5922 section 7.1). Empty for what is no certificate."""
    text = urllib.parse.unquote(urlencoded_pem)
    body = "".join(line for line in text.splitlines() if line and not line.startswith("-"))
    try:
        return names_of_der(base64.b64decode(body, validate=True))
    except (ValueError, IndexError):
        return ()


def names_of_der(octets: bytes) -> tuple[str, ...]:
    """The same of a certificate in DER. ValueError, IndexError: it is none."""
    certificate = _only(octets, SEQUENCE)
    fields = list(_values(_only(certificate, SEQUENCE)))
    found = tuple(name for tag, value in fields if tag == EXTENSIONS for name in _alternatives(_only(value, SEQUENCE)))
    if found:
        return tuple(dict.fromkeys(found))
    names = [value for tag, value in fields if tag == SEQUENCE]  # algorithm, issuer, validity, subject, key
    return tuple(_common_names(names[3]))


def _alternatives(extensions: bytes) -> Iterator[str]:
    for _, extension in _values(extensions):
        parts = dict(_values(extension))
        if parts.get(OBJECT) == SUBJECT_ALT_NAME:
            for tag, value in _values(_only(parts[OCTETS], SEQUENCE)):
                if tag in (DNS, URI):
                    yield value.decode("ascii")
                elif tag == ADDRESS:
                    yield str(ipaddress.ip_address(value))


def _common_names(subject: bytes) -> Iterator[str]:
    for _, relative in _values(subject):
        for _, attribute in _values(relative):
            (_, kind), (tag, value) = _values(attribute)
            if kind == COMMON_NAME and tag in TEXTS:
                yield value.decode(TEXTS[tag])


def _values(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value in a row."""
    place = 0
    while place < len(octets):
        tag, length, place = octets[place], octets[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("length of DER")
            length, place = int.from_bytes(octets[place : place + count], "big"), place + count
        if place + length > len(octets):
            raise ValueError("value beyond its end")
        yield tag, octets[place : place + length]
        place += length


def _only(octets: bytes, tag: int) -> bytes:
    """The content of the first value, which has this tag."""
    found, content = next(_values(octets), (0, b""))
    if found != tag:
        raise ValueError("another tag than expected")
    return content


def _same(wanted: str, presented: str) -> bool:
    """DNS names by letters alone, no wildcard in a certificate counts (RFC 5922 section 7.2); of a sip URI its host."""
    scheme, colon, rest = presented.partition(":")
    if colon and scheme.lower() in ("sip", "sips"):
        if "@" in rest:  # an identity of a user, not of a domain (RFC 5922 section 7.1)
            return False
        presented = rest.partition(";")[0]
    return _plain(wanted) == _plain(presented)


def _plain(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return name.lower().rstrip(".")
