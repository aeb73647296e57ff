"""OpenSSL contexts: what an association may negotiate. One for each set of suites, made once; the certificate is each
connection's own (a context takes 0.25 ms to make, and a call may have a fresh certificate)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from OpenSSL import SSL, crypto

from appliance.calls.media import LocalCertificate
from appliance.protocols.dtls import keys

DTLS_1_0, DTLS_1_2 = 0xFEFF, 0xFEFD
# Forward secrecy and AEAD only (RFC 8827 section 6.5, RFC 9325 section 4.2); the first is the one everybody has.
CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
LEGACY_CIPHERS = CIPHERS + b":ECDHE+AES:AES128-SHA:AES256-SHA:!aNULL:!eNULL@SECLEVEL=0"
KEPT = 64  # contexts, and certificates
_KEY_TOO_SMALL = 66  # X509_V_ERR_EE_KEY_TOO_SMALL


class Judge(Protocol):
    """What a connection has as application data."""

    def judge(self, certificate: bytes, *, weak: bool) -> bool:
        """The peer's certificate (DER) during the handshake. False: the handshake ends with an alert."""

    @property
    def content(self) -> bool:
        """It has been asked, and said yes."""


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
    made.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verify)
    # The cookie was looked at by CookieFront. Of its own OpenSSL neither makes nor judges one.
    made.set_cookie_generate_callback(lambda connection: b"")
    made.set_cookie_verify_callback(lambda connection, cookie: True)
    return made


def connection(context: SSL.Context, certificate: LocalCertificate) -> SSL.Connection:
    """With memory on both sides. ValueError: the certificate or its key cannot be read."""
    made = SSL.Connection(context, None)
    # as pyOpenSSL's use_certificate and use_privatekey do, without their detour by a second parser
    own, key = _parsed(certificate)
    library, handle = SSL._lib, made._ssl  # type: ignore[attr-defined]
    if library.SSL_use_certificate(handle, own) != 1 or library.SSL_use_PrivateKey(handle, key) != 1:
        library.ERR_clear_error()
        raise ValueError("certificate and key do not belong together")
    return made


@lru_cache(maxsize=KEPT)
def _parsed(certificate: LocalCertificate) -> tuple[Any, Any]:
    """X509 and EVP_PKEY. Remembered: a trunk's is every call's, a call's own is that of all its m-lines."""
    library, none = SSL._lib, SSL._ffi.NULL  # type: ignore[attr-defined]
    own = _read(certificate.certificate, lambda octets: library.d2i_X509_bio(octets, none), library.X509_free)
    return own, _read(certificate.key, lambda octets: library.d2i_PrivateKey_bio(octets, none), library.EVP_PKEY_free)


def _read(der: bytes, parse: Callable[[Any], Any], free: Callable[[Any], None]) -> Any:
    """crypto.load_certificate and load_privatekey without what those do for files and pass phrases."""
    library, cffi = SSL._lib, SSL._ffi  # type: ignore[attr-defined]
    octets = cffi.from_buffer(der)
    memory = library.BIO_new_mem_buf(octets, len(der))
    found = parse(memory)
    library.BIO_free(memory)
    if found == cffi.NULL:
        library.ERR_clear_error()
        raise ValueError("certificate or key cannot be read")
    return cffi.gc(found, free)


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """Trust comes of the fingerprint (RFC 8122 section 6.2), not of who signed: the peer's own certificate counts."""
    if depth:
        return True
    judge: Judge = connection.get_app_data()
    if ok and judge.content:  # told of what is wrong with it first, and then that it is the end of the chain
        return True
    return judge.judge(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate), weak=error == _KEY_TOO_SMALL)


def extended_master_secret(connection: SSL.Connection) -> bool:
    """Whether the handshake had RFC 7627's. OpenSSL tells, pyOpenSSL has no method for it."""
    return bool(SSL._lib.SSL_get_extms_support(connection._ssl))  # type: ignore[attr-defined]
