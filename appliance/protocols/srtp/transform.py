"""Encryption and authentication of one packet under known session keys: RFC 3711 section 4, RFC 6188, RFC 7714.

Nothing here keeps state. `Place` says which packet of which source it is; everything an IV needs is in it."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.protocols.srtp.kdf import SessionKeys

BLOCK = 16


@dataclass(frozen=True, slots=True)
class Place:
    """One packet's place in its stream."""

    ssrc: int
    index: int  # SRTP: ROC and sequence number, 48 bits; SRTCP: 31 bits
    header: bytes  # the first 12 octets of RTP, the first 8 of RTCP: F8 puts them in its IV
    rtcp: bool
    encrypted: bool = True  # SRTCP: the E flag


def exclusive_or(left: bytes, right: bytes) -> bytes:
    """Octet by octet, as long as the shorter one."""
    return bytes(a ^ b for a, b in zip(left, right, strict=False))


def apply_counter_mode(keys: SessionKeys, place: Place, data: bytes) -> bytes:
    """AES-CM (RFC 3711 section 4.1.1): IV = salt 2^16 xor SSRC 2^64 xor index 2^16."""
    iv = int.from_bytes(keys.salt, "big") << 16 ^ place.ssrc << 64 ^ place.index << 16
    return Cipher(algorithms.AES(keys.cipher), modes.CTR(iv.to_bytes(BLOCK, "big"))).encryptor().update(data)


def apply_f8(keys: SessionKeys, place: Place, data: bytes) -> bytes:
    """AES in f8 mode (RFC 3711 section 4.1.2)."""
    mask = keys.salt.ljust(len(keys.cipher), b"\x55")
    start = _encrypt_block(exclusive_or(keys.cipher, mask), f8_iv(place))
    previous, output = bytes(BLOCK), b""
    for j in count():
        if len(output) >= len(data):
            return exclusive_or(data, output)
        previous = _encrypt_block(keys.cipher, exclusive_or(exclusive_or(start, j.to_bytes(BLOCK, "big")), previous))
        output += previous
    raise AssertionError("count() does not end")


def f8_iv(place: Place) -> bytes:
    """SRTP: 0 || M, PT || SEQ || TS || SSRC || ROC; SRTCP: 0 || E, index || the first eight octets of the header."""
    if place.rtcp:
        return bytes(4) + srtcp_word(place.index, encrypted=place.encrypted) + place.header
    return b"\0" + place.header[1:12] + (place.index >> 16).to_bytes(4, "big")


def apply_null(keys: SessionKeys, place: Place, data: bytes) -> bytes:
    """RFC 3711 section 4.1.3: the data itself."""
    return data


STREAM_CIPHERS: dict[str, Callable[[SessionKeys, Place, bytes], bytes]] = {
    "AES_CM": apply_counter_mode,
    "AES_F8": apply_f8,
    "NULL": apply_null,
}


def authenticate(keys: SessionKeys, place: Place, authenticated: bytes, octets: int) -> bytes:
    """HMAC-SHA1 cut to its leftmost octets; SRTP appends the ROC to what is authenticated (RFC 3711 section 4.2)."""
    suffix = b"" if place.rtcp else (place.index >> 16).to_bytes(4, "big")
    return hmac.digest(keys.auth, authenticated + suffix, "sha1")[:octets]


def gcm_seal(keys: SessionKeys, place: Place, associated: bytes, data: bytes, tag: int) -> bytes:
    """Ciphertext and tag (RFC 7714 section 8)."""
    encryptor = Cipher(algorithms.AES(keys.cipher), modes.GCM(gcm_iv(keys, place))).encryptor()
    encryptor.authenticate_additional_data(associated)
    return encryptor.update(data) + encryptor.finalize() + encryptor.tag[:tag]


def gcm_open(keys: SessionKeys, place: Place, associated: bytes, data: bytes, tag: int) -> bytes | None:
    """The plaintext, or None when the tag at the end of `data` does not verify."""
    mode = modes.GCM(gcm_iv(keys, place), data[len(data) - tag :], min_tag_length=tag)
    decryptor = Cipher(algorithms.AES(keys.cipher), mode).decryptor()
    decryptor.authenticate_additional_data(associated)
    plain = decryptor.update(data[: len(data) - tag])
    try:
        return plain + decryptor.finalize()
    except InvalidTag:
        return None


def gcm_iv(keys: SessionKeys, place: Place) -> bytes:
    """12 octets: 0, SSRC, ROC, SEQ (SRTP) or 0, SSRC, 0, index (SRTCP), xor salt (RFC 7714 sections 8.1 and 9.1)."""
    return exclusive_or((place.ssrc << 48 | place.index).to_bytes(12, "big"), keys.salt)


def srtcp_word(index: int, *, encrypted: bool) -> bytes:
    """The E flag and the SRTCP index (RFC 3711 section 3.4)."""
    return (int(encrypted) << 31 | index).to_bytes(4, "big")


def _encrypt_block(key: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
