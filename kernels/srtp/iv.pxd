# Initialisation vectors. `index` is the 48-bit SRTP index or the 31-bit SRTCP index.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.wire.octets cimport store_be32

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>
    typedef uint64_t iv_pair __attribute__((vector_size(16)));
    /* salt xor (high || low), put together in a register and stored in one piece: the cipher loads it so, and a load
       that finds its octets in two smaller stores waits for both to reach the cache (45 cycles on Zen 4). */
    static inline void iv_store(uint8_t *iv, const uint8_t *salt, uint64_t high, uint64_t low) {
        iv_pair mask, pair = {WIRE64(high), WIRE64(low)};
        memcpy(&mask, salt, 16);
        pair ^= mask;
        memcpy(iv, &pair, 16);
    }
    """
    void iv_store(uint8_t *iv, const uint8_t *salt, uint64_t high, uint64_t low) noexcept

# Salts are 16 octets: 14 or 12 of them count, zeros follow.

cdef inline void iv_cm(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index) noexcept nogil:
    """(k_s * 2^16) xor (SSRC * 2^64) xor (i * 2^16), RFC 3711 section 4.1.1."""
    iv_store(iv, salt, ssrc, index << 16)

cdef inline void iv_gcm(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index) noexcept nogil:
    """(0000 || SSRC || ROC || SEQ) xor salt, for SRTCP (0000 || SSRC || 0000 || index), RFC 7714 sections 8.1, 9.1."""
    iv_store(iv, salt, (<uint64_t>ssrc << 16) ^ (index >> 32), index << 32)

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
