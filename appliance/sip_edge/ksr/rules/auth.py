"""Digest authentication (row J06): challenges, nonces, and whether a response is the one of a password.

Kamailio's own module knows MD5 and SHA-256, one of them at a time; RFC 8760 asks for several, SHA-512-256 among them.
So the arithmetic is here, pure; the script fetches hashes and remembers nonce counts.

    nonce = time "." random "." HMAC-SHA-256(secret, time "." random "." realm), so that any process and any gateway
    with the same secret knows its own nonces again, also after a restart
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

ALGORITHMS = ("SHA-512-256", "SHA-256", "MD5")  # as challenges spell them, the strongest first
_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
}
_FIELD = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_NAME = re.compile(r"^[^\x00-\x20\"'\\\x7f<>;,]{1,64}$")  # a user that may be looked up; nothing SQL reads as more
_NC = re.compile(r"[0-9A-Fa-f]{8}")
NONCES = "nonces"  # Kamailio's hash table of used nonce counts
LONGEST = 2048  # of a header that is looked at
_MAC = 32  # hexadecimal digits of a nonce's signature


@dataclass(frozen=True)
class AuthRules:
    """`enabled`: there is a database to look users up in."""

    enabled: bool = False
    realm: str = ""
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    secret: str = field(default="", repr=False)
    nonce_expire_s: int = 300
    check_from: bool = True


class Verdict(Enum):
    """What becomes of a request."""

    RIGHT = "right"  # the password was
    STALE = "stale"  # it was, but the nonce is over or was used: ask anew
    WRONG = "wrong"
    ABSENT = "absent"  # no credentials for this realm: ask


@dataclass(frozen=True)
class Credentials:
    """One Authorization header with scheme Digest (RFC 7616 section 3.4)."""

    username: str  # without a domain
    with_domain: bool  # it was written user@domain, and hashed so (column ha1b)
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    qop: str
    cnonce: str
    nc: int


def read(header: str) -> Credentials | None:
    """Credentials of a header field; None when it is none that we asked for."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "digest" or len(header) > LONGEST:
        return None
    found: dict[str, str] = {}
    place = 0
    while place < len(rest):
        match = _FIELD.match(rest, place)
        if match is None or match[1].lower() in found:
            return None
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        place = match.end()
    if not {"username", "realm", "nonce", "uri", "response"} <= set(found):
        return None
    algorithm = next((name for name in ALGORITHMS if name == found.get("algorithm", "MD5").upper()), "")
    nc = found.get("nc", "")
    user, at, _ = found["username"].partition("@")
    if not algorithm or not _NAME.match(user) or not _NAME.match(found["realm"]) or not _NC.fullmatch(nc):
        return None
    return Credentials(
        user, at != "", found["realm"], found["nonce"], found["uri"], found["response"].lower(),
        algorithm, found.get("qop", "").lower(), found.get("cnonce", ""), int(nc, 16),
    )  # fmt: skip


def nonce(secret: str, realm: str, now: float) -> str:
    """A fresh one."""
    body = f"{int(now):x}.{secrets.token_hex(8)}"
    return f"{body}.{_signature(secret, body, realm)}"


def age(secret: str, realm: str, text: str, now: float) -> float | None:
    """Seconds since this nonce was made; None when it is not one of ours."""
    body, _, signature = text.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(secret, body, realm).encode()):
        return None
    return now - int(body.partition(".")[0], 16)


def challenges(rules: AuthRules, realm: str, now: float, *, stale: bool) -> list[str]:
    """Values of WWW-Authenticate or Proxy-Authenticate, one for each algorithm, the preferred one first (RFC 8760)."""
    fresh = nonce(rules.secret, realm, now)
    end = ", stale=true" if stale else ""
    return [f'Digest realm="{realm}", nonce="{fresh}", qop="auth", algorithm={name}{end}' for name in rules.algorithms]


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """What the database holds of a password (RFC 7616 section 3.4.2)."""
    return _HASHES[algorithm](f"{username}:{realm}:{password}".encode())


def verify(rules: AuthRules, given: Credentials, method: str, known: str, now: float) -> Verdict:
    """Whether `given` proves the password whose HA1 is `known` ("": of nobody). Takes as long whoever it is."""
    right = _response(given, method, known or _nobody(given.algorithm))
    proven = hmac.compare_digest(right.encode(), given.response.encode()) and known != ""
    old = age(rules.secret, given.realm, given.nonce, now)
    if not proven or given.qop != "auth" or not given.cnonce or given.algorithm not in rules.algorithms:
        return Verdict.WRONG
    if old is None or not 0 <= old <= rules.nonce_expire_s:  # another gateway's, or of before its secret changed
        return Verdict.STALE
    return Verdict.RIGHT


def plain(word: str) -> bool:
    """Whether a name may stand in a query."""
    return _NAME.match(word) is not None


def _response(given: Credentials, method: str, known: str) -> str:
    digest = _HASHES[given.algorithm]
    ha2 = digest(f"{method}:{given.uri}".encode())
    return digest(f"{known}:{given.nonce}:{given.nc:08x}:{given.cnonce}:{given.qop}:{ha2}".encode())


def _nobody(algorithm: str) -> str:
    return _HASHES[algorithm](secrets.token_bytes(16))


def _signature(secret: str, body: str, realm: str) -> str:
    return hmac.new(secret.encode(), f"{body}.{realm}".encode(), hashlib.sha256).hexdigest()[:_MAC]
