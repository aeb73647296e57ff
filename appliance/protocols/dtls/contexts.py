"""OpenSSL contexts: what an association may negotiate. One for each set of suites, made once; the certificate is each
connection's own (a context takes 0.25 ms to make, and a call may have a fresh certificate)."""

from __future__ import annotations

from functools import lru_cache

from OpenSSL import SSL

from appliance.calls.media import LocalCertificate
from appliance.protocols.dtls import keys, native

DTLS_1_0, DTLS_1_2 = 0xFEFF, 0xFEFD
# Forward secrecy and AEAD only (RFC 8827 section 6.5, RFC 9325 section 4.2); the first is the one everybody has.
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
LEGACY_CIPHERS = CIPHERS + b":ECDHE+AES:AES128-SHA:AES256-SHA:!aNULL:!eNULL@SECLEVEL=0"
KEPT = 64  # contexts


@lru_cache(maxsize=KEPT)
def context(suites: tuple[str, ...], legacy: bool) -> SSL.Context | None:
    """None: none of the suites can be negotiated by DTLS."""
    offered = keys.offered(suites)
    if not offered:
        return None
    made = SSL.Context(SSL.DTLS_METHOD)
    made.set_min_proto_version(DTLS_1_0 if legacy else DTLS_1_2)
    made.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION)
    made.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)  # SHA-256 for SHA-384 in a handshake saves a tenth of its time
    made.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    made.set_mode(SSL.MODE_RELEASE_BUFFERS)
    made.set_cipher_list(LEGACY_CIPHERS if legacy else CIPHERS)  # it sets what keys may be
    made.set_tlsext_use_srtp(":".join(suite.openssl_profile for suite in offered).encode())
    native.judged(made)
    # The cookie was looked at by CookieFront. Of its own OpenSSL neither makes nor judges one.
    made.set_cookie_generate_callback(lambda connection: b"")
    made.set_cookie_verify_callback(lambda connection, cookie: True)
    return made


def connection(context: SSL.Context, certificate: LocalCertificate) -> SSL.Connection:
    """With memory on both sides. ValueError: the certificate or its key cannot be read."""
    made = SSL.Connection(context, None)
    native.identify(made, certificate)
    return made
