"""From exported keying material to the two SRTP contexts of a leg (RFC 5764 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from appliance.calls.media import ContextSpec, MasterKey
from appliance.protocols.srtp import suites
from appliance.protocols.srtp.suites import Suite

EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"
HMAC_LIFETIME = 1 << 31  # packets under one key of the AES_CM profiles (RFC 5764 section 4.1.2)


def offered(names: Iterable[str]) -> tuple[Suite, ...]:
    """The suites of these canonical names that DTLS-SRTP can negotiate, in their order; of no names: every one that is
    not weak, AEAD first. OpenSSL knows no NULL profile; the double ones (RFC 8723) are for relays that we are not."""
    wanted = [suites.find(name) for name in names] or [suite for suite in suites.SUITES if not suite.weak]
    return tuple(suite for suite in wanted if suite and suite.openssl_profile)


@lru_cache(maxsize=16)
def by_profile(name: str) -> Suite | None:
    """The suite that OpenSSL calls so; None for "": nothing was negotiated."""
    return next((suite for suite in suites.SUITES if name and suite.openssl_profile == name), None)


def octets(suite: Suite) -> int:
    """Of keying material to be exported: two master keys, two master salts."""
    return 2 * suite.master_octets


def split(suite: Suite, material: bytes, *, client: bool) -> tuple[ContextSpec, ContextSpec]:
    """(send, receive) of the side that was the DTLS client or server. Order: client key, server key, client salt,
    server salt; the client's protect what the client sends."""
    key, salt = suite.key_octets, suite.salt_octets
    salts = material[2 * key :]
    by_client = context(suite, material[:key], salts[:salt])
    by_server = context(suite, material[key : 2 * key], salts[salt : 2 * salt])
    return (by_client, by_server) if client else (by_server, by_client)


def context(suite: Suite, key: bytes, salt: bytes) -> ContextSpec:
    """One direction. Lifetimes: RFC 5764 section 4.1.2 for the AES_CM profiles, RFC 7714 section 14.2 for AEAD."""
    rtp = suite.max_rtp_lifetime if suite.cipher == "AES_GCM" else min(HMAC_LIFETIME, suite.max_rtp_lifetime)
    return ContextSpec(suite.name, (MasterKey(key, salt, b"", rtp, suite.max_rtcp_lifetime),))
