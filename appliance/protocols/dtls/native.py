"""What OpenSSL can do and pyOpenSSL has no method for, or one that costs more than it should in every handshake.

pyOpenSSL's handles of OpenSSL's objects are not of its public interface; whoever changes its version runs the tests of
this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

from OpenSSL import SSL

from appliance.calls.media import LocalCertificate

_LIBRARY, _FFI = SSL._lib, SSL._ffi  # type: ignore[attr-defined]
KEPT = 64  # certificates
_KEY_TOO_SMALL = 66  # X509_V_ERR_EE_KEY_TOO_SMALL


class Judge(Protocol):
    """What a connection has as application data."""

    def judge(self, certificate: bytes, *, weak: bool) -> bool:
        """The peer's certificate (DER) during the handshake. False: the handshake ends with an alert."""

    @property
    def content(self) -> bool:
        """It has been asked, and said yes."""


def judged(context: SSL.Context) -> None:
    """Connections of it want the peer's certificate, and have a Judge as their application data."""
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    _LIBRARY.SSL_CTX_set_verify(context._context, mode, _verify)


@_FFI.callback("int (*)(int, X509_STORE_CTX *)", error=0)  # type: ignore[untyped-decorator]
def _verify(ok: int, store: Any) -> bool:
    """Trust comes of the fingerprint (RFC 8122 section 6.2), not of who signed: the peer's own certificate counts.
    Not pyOpenSSL's set_verify: that wraps and copies for every call, a tenth of what is ours in a handshake."""
    if _LIBRARY.X509_STORE_CTX_get_error_depth(store):
        return True
    handle = _LIBRARY.X509_STORE_CTX_get_ex_data(store, _LIBRARY.SSL_get_ex_data_X509_STORE_CTX_idx())
    judge: Judge = SSL.Connection._reverse_mapping[handle].get_app_data()
    if ok and judge.content:  # told of what is wrong with it first, and then that it is the end of the chain
        return True
    weak = _LIBRARY.X509_STORE_CTX_get_error(store) == _KEY_TOO_SMALL
    return judge.judge(_written(_LIBRARY.X509_STORE_CTX_get_current_cert(store)), weak=weak)


def _written(certificate: Any) -> bytes:
    """DER of an X509."""
    memory = _LIBRARY.BIO_new(_LIBRARY.BIO_s_mem())
    try:
        _LIBRARY.i2d_X509_bio(memory, certificate)
        start = _FFI.new("char **")
        length = _LIBRARY.BIO_get_mem_data(memory, start)
        return bytes(_FFI.buffer(start[0], length))
    finally:
        _LIBRARY.BIO_free(memory)


def identify(connection: SSL.Connection, certificate: LocalCertificate) -> None:
    """Its own certificate, as pyOpenSSL's use_certificate and use_privatekey do for a context, without their detour by
    a second parser. ValueError: the certificate or its key cannot be read."""
    own, key = _parsed(certificate)
    handle = connection._ssl
    if _LIBRARY.SSL_use_certificate(handle, own) != 1 or _LIBRARY.SSL_use_PrivateKey(handle, key) != 1:
        _LIBRARY.ERR_clear_error()
        raise ValueError("certificate and key do not belong together")


@lru_cache(maxsize=KEPT)
def _parsed(certificate: LocalCertificate) -> tuple[Any, Any]:
    """X509 and EVP_PKEY. Remembered: a trunk's is every call's, a call's own is that of all its m-lines."""
    own = _read(certificate.certificate, lambda der: _LIBRARY.d2i_X509_bio(der, _FFI.NULL), _LIBRARY.X509_free)
    key = _read(certificate.key, lambda der: _LIBRARY.d2i_PrivateKey_bio(der, _FFI.NULL), _LIBRARY.EVP_PKEY_free)
    return own, key


def _read(der: bytes, parse: Callable[[Any], Any], free: Callable[[Any], None]) -> Any:
    """crypto.load_certificate and load_privatekey without what those do for files and pass phrases."""
    octets = _FFI.from_buffer(der)
    memory = _LIBRARY.BIO_new_mem_buf(octets, len(der))
    found = parse(memory)
    _LIBRARY.BIO_free(memory)
    if found == _FFI.NULL:
        _LIBRARY.ERR_clear_error()
        raise ValueError("certificate or key cannot be read")
    return _FFI.gc(found, free)


def extended_master_secret(connection: SSL.Connection) -> bool:
    """Whether the handshake had RFC 7627's. OpenSSL tells, pyOpenSSL has no method for it."""
    return bool(_LIBRARY.SSL_get_extms_support(connection._ssl))
