"""Debian's libsrtp2 (libsrtp2-1) through ctypes: the foreign implementation that must understand us and we it."""

from __future__ import annotations

import ctypes
import ctypes.util
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_ubyte, c_uint32, c_ulong, c_void_p

from kernels.srtp.transform import Transform

_CIPHERS = {
    ("NULL", 16): 0,
    ("AES_CM", 16): 1,
    ("AES_CM", 24): 4,
    ("AES_CM", 32): 5,
    ("AES_GCM", 16): 6,
    ("AES_GCM", 32): 7,
}
_CONFIDENTIAL, _AUTHENTIC = 1, 2
_INBOUND, _OUTBOUND = 2, 3
TRAILER = 16 + 128 + 4

OK, AUTH_FAIL, REPLAY_FAIL, REPLAY_OLD = 0, 7, 9, 10


class _CryptoPolicy(Structure):
    _fields_ = [
        ("cipher", c_uint32),
        ("key_octets", c_int),
        ("auth", c_uint32),
        ("auth_key_octets", c_int),
        ("tag", c_int),
        ("service", c_int),
    ]


class _Ssrc(Structure):
    _fields_ = [("type", c_int), ("value", c_uint32)]


class _MasterKey(Structure):
    _fields_ = [("key", POINTER(c_ubyte)), ("mki", POINTER(c_ubyte)), ("mki_octets", c_uint32)]


class _Policy(Structure):
    _fields_ = [
        ("ssrc", _Ssrc),
        ("rtp", _CryptoPolicy),
        ("rtcp", _CryptoPolicy),
        ("key", POINTER(c_ubyte)),
        ("keys", POINTER(POINTER(_MasterKey))),
        ("num_master_keys", c_ulong),
        ("ekt", c_void_p),
        ("window", c_ulong),
        ("allow_repeat_tx", c_int),
        ("enc_xtn_hdr", c_void_p),
        ("enc_xtn_hdr_count", c_int),
        ("next", c_void_p),
    ]


def load() -> ctypes.CDLL | None:
    """The library, initialised; None when it is not installed."""
    name = ctypes.util.find_library("srtp2")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.srtp_get_version_string.restype = c_char_p
    for call in ("srtp_protect_mki", "srtp_protect_rtcp_mki"):
        getattr(library, call).argtypes = [c_void_p, c_void_p, POINTER(c_int), c_uint32, c_uint32]
    for call in ("srtp_unprotect_mki", "srtp_unprotect_rtcp_mki"):
        getattr(library, call).argtypes = [c_void_p, c_void_p, POINTER(c_int), c_uint32]
    library.srtp_create.argtypes = [POINTER(c_void_p), POINTER(_Policy)]
    library.srtp_dealloc.argtypes = [c_void_p]
    return library if library.srtp_init() == 0 else None


def supports(transform: Transform) -> bool:
    """No F8 in libsrtp; its NULL cipher wants an 80-bit tag or none."""
    return (transform.cipher, transform.key_octets) in _CIPHERS and not (
        transform.cipher == "NULL" and transform.rtp_tag == 4
    )


class LibSrtp:
    """One direction, like kernels.srtp.session.Session. keys: (key, salt, mki) of every master key; a call
    returns octets or libsrtp's status number."""

    def __init__(
        self,
        library: ctypes.CDLL,
        transform: Transform,
        keys: list[tuple[bytes, bytes, bytes]],
        *,
        send: bool,
        window: int = 128,
    ) -> None:
        self._library, self._mki = library, bool(keys[0][2])
        masters = [
            _MasterKey(self._octets(key + salt), self._octets(mki or b"\0"), len(mki)) for key, salt, mki in keys
        ]
        table = (POINTER(_MasterKey) * len(masters))(*[ctypes.pointer(master) for master in masters])
        policy = _Policy(
            ssrc=_Ssrc(_OUTBOUND if send else _INBOUND, 0),
            rtp=self._side(transform, transform.rtp_tag),
            rtcp=self._side(transform, transform.rtcp_tag),
            keys=table,
            num_master_keys=len(masters),
            window=window,
        )
        if not self._mki:
            policy.keys, policy.num_master_keys, policy.key = None, 0, self._octets(keys[0][0] + keys[0][1])
        self._keep = (masters, table, policy)
        self._session = c_void_p()
        status = library.srtp_create(byref(self._session), byref(policy))
        if status:
            raise RuntimeError(f"srtp_create: {status}")

    def __del__(self) -> None:
        if getattr(self, "_session", None):
            self._library.srtp_dealloc(self._session)

    def protect_rtp(self, packet: bytes, key: int = 0) -> bytes | int:
        return self._call(self._library.srtp_protect_mki, packet, int(self._mki), key)

    def protect_rtcp(self, packet: bytes, key: int = 0) -> bytes | int:
        return self._call(self._library.srtp_protect_rtcp_mki, packet, int(self._mki), key)

    def unprotect_rtp(self, packet: bytes) -> bytes | int:
        return self._call(self._library.srtp_unprotect_mki, packet, int(self._mki))

    def unprotect_rtcp(self, packet: bytes) -> bytes | int:
        return self._call(self._library.srtp_unprotect_rtcp_mki, packet, int(self._mki))

    def _call(self, function: object, packet: bytes, *more: int) -> bytes | int:
        room = ctypes.create_string_buffer(packet, len(packet) + TRAILER)
        length = c_int(len(packet))
        status: int = function(self._session, room, byref(length), *more)  # type: ignore[operator]
        return status or room.raw[: length.value]

    @staticmethod
    def _side(transform: Transform, tag: int) -> _CryptoPolicy:
        cipher = _CIPHERS[transform.cipher, transform.key_octets]
        hmac = transform.auth == "HMAC_SHA1" and tag > 0
        service = (_CONFIDENTIAL if transform.cipher != "NULL" else 0) | (_AUTHENTIC if tag else 0)
        return _CryptoPolicy(
            cipher, transform.key_octets + transform.salt_octets, 3 if hmac else 0, 20 if hmac else 0, tag, service
        )

    @staticmethod
    def _octets(data: bytes) -> ctypes.Array[c_ubyte]:
        return (c_ubyte * len(data))(*data)
