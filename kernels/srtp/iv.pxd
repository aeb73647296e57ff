# Initialisation vectors. `index` is the 48-bit SRTP index or the 31-bit SRTCP index.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.srtp.context cimport CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM
from kernels.wire.octets cimport load_be32, load_be64, store_be32, store_be64

cdef inline void iv_cm(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index) noexcept nogil:
    """(k_s * 2^16) xor (SSRC * 2^64) xor (i * 2^16), RFC 3711 section 4.1.1."""
    store_be64(iv, load_be64(salt) ^ ssrc)
    store_be64(iv + 8, (load_be64(salt + 8) & ~<uint64_t>0xFFFF) ^ (index << 16))

cdef inline void iv_gcm(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index) noexcept nogil:
    """(0000 || SSRC || ROC || SEQ) xor salt, for SRTCP (0000 || SSRC || 0000 || index), RFC 7714 sections 8.1, 9.1."""
    store_be64(iv, load_be64(salt) ^ (<uint64_t>ssrc << 16) ^ (index >> 32))
    store_be32(iv + 8, load_be32(salt + 8) ^ <uint32_t>index)
    store_be32(iv + 12, 0)

cdef inline void iv_f8_rtp(uint8_t *iv, const uint8_t *packet, uint64_t index) noexcept nogil:
    """0x00 || M || PT || SEQ || TS || SSRC || ROC, RFC 3711 section 4.1.2.2."""
    memcpy(iv, packet, 12)
    iv[0] = 0
    store_be32(iv + 12, <uint32_t>(index >> 16))

cdef inline void iv_f8_rtcp(uint8_t *iv, const uint8_t *packet, uint32_t word) noexcept nogil:
    """0..0 (32 bits) || E || index || first 8 octets of the header, RFC 3711 section 4.1.2.3."""
    store_be32(iv, 0)
    store_be32(iv + 4, word)
    memcpy(iv + 8, packet, 8)
