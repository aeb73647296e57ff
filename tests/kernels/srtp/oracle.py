"""SRTP protection in plain Python for any index one likes: short, slow, from the RFC texts (not from kernels)."""

from __future__ import annotations

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kernels.srtp.transform import Transform


def rtp(
    sequence: int,
    *,
    ssrc: int = 0x1234ABCD,
    payload: bytes = b"",
    timestamp: int = 0,
    first: int = 0x80,
    rest: bytes = b"",
) -> bytes:
    """A plain RTP packet; `rest`: CSRCs and extension."""
    header = struct.pack("!BBHII", first, 0, sequence & 0xFFFF, timestamp, ssrc) + rest
    return header + (payload or struct.pack("!HQ", sequence & 0xFFFF, ssrc))


def rtcp(ssrc: int = 0x1234ABCD, words: int = 6) -> bytes:
    """A sender report of words + 1 words."""
    return struct.pack("!BBHI", 0x80, 200, words, ssrc) + bytes(n & 0xFF for n in range(4 * words - 4))


def ctr(key: bytes, iv: int, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor().update(data)


def derive(key: bytes, salt: bytes, label: int, octets: int, r: int = 0) -> bytes:
    """RFC 3711 section 4.3.1: x = (label || r) xor salt, keystream of AES-CM at x * 2^16."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48 | r)
    return ctr(key, x << 16, bytes(octets))


def _sealed(
    transform: Transform,
    key: bytes,
    salt: bytes,
    packet: bytes,
    ssrc: int,
    index: int,
    r: int,
    base: int,
    clear: int,
    extra: bytes,
    tag: int,
) -> tuple[bytes, bytes]:
    k = derive(key, salt, base, transform.key_octets, r)
    s = int.from_bytes(derive(key, salt, base + 2, transform.salt_octets, r), "big")
    if transform.cipher == "AES_GCM":
        iv = ((ssrc << 48 | index) ^ s).to_bytes(12, "big")
        out = AESGCM(k).encrypt(iv, packet[clear:], packet[:clear] + (extra if base else b""))
        return packet[:clear] + out[:-16], out[-16 : -16 + tag or None]
    if transform.cipher == "AES_CM":
        packet = packet[:clear] + ctr(k, (s << 16) ^ (ssrc << 64) ^ (index << 16), packet[clear:])
    a = derive(key, salt, base + 1, 20, r)
    return packet, hmac.new(a, packet + extra, hashlib.sha1).digest()[:tag]


def seal_rtp(
    transform: Transform, key: bytes, salt: bytes, packet: bytes, roc: int = 0, *, kdr: int = 0, mki: bytes = b""
) -> bytes:
    """Protect under an index of one's choice; packets without CSRCs and extension. kdr: rate in packets, 0: once."""
    sequence, ssrc = struct.unpack("!HxxxxI", packet[2:12])
    index = roc << 16 | sequence
    body, tag = _sealed(
        transform,
        key,
        salt,
        packet,
        ssrc,
        index,
        index // kdr if kdr else 0,
        0,
        12,
        struct.pack("!I", roc),
        transform.rtp_tag,
    )
    return body + tag + mki if transform.cipher == "AES_GCM" else body + mki + tag


def seal_rtcp(
    transform: Transform,
    key: bytes,
    salt: bytes,
    packet: bytes,
    index: int,
    *,
    kdr: int = 0,
    mki: bytes = b"",
    encrypt: bool = True,
) -> bytes:
    word = struct.pack("!I", index | (1 << 31 if encrypt else 0))
    ssrc = struct.unpack("!I", packet[4:8])[0]
    body, tag = _sealed(
        transform,
        key,
        salt,
        packet,
        ssrc,
        index,
        index // kdr if kdr else 0,
        3,
        8 if encrypt else len(packet),
        word,
        transform.rtcp_tag,
    )
    return body + tag + word + mki if transform.cipher == "AES_GCM" else body + word + mki + tag
