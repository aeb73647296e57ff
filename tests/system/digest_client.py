"""The client's side of SIP digest (RFC 7616), by hashlib alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def hashed(algorithm: str, *words: str) -> str:
    return hashlib.new(HASHES[algorithm], ":".join(words).encode()).hexdigest()


@dataclass(frozen=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate header."""

    realm: str
    nonce: str
    algorithm: str
    stale: bool


def challenges(reply: str) -> list[Challenge]:
    """Of a 401 or 407, in their order."""
    found = re.findall(r"^(?:WWW|Proxy)-Authenticate: Digest (.*?)\r?$", reply, re.MULTILINE)
    made = []
    for text in found:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', text))
        assert fields["qop"] == "auth"
        algorithm = fields.get("algorithm", "MD5")  # RFC 7616 section 3.3
        made.append(Challenge(fields["realm"], fields["nonce"], algorithm, fields.get("stale") == "true"))
    return made


def answer(challenge: Challenge, user: str, password: str, method: str, uri: str, nc: int = 1) -> str:
    """The header line that proves the password."""
    name, cnonce, count = challenge.algorithm, secrets.token_hex(8), f"{nc:08x}"
    first = hashed(name, user, challenge.realm, password)
    response = hashed(name, first, challenge.nonce, count, cnonce, "auth", hashed(name, method, uri))
    header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
    return (
        f'{header}: Digest username="{user}", realm="{challenge.realm}", nonce="{challenge.nonce}", uri="{uri}", '
        f'response="{response}", algorithm={name}, qop=auth, cnonce="{cnonce}", nc={count}'
    )
