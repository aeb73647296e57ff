# CRC-32 of ISO 3309, as STUN's FINGERPRINT wants it (RFC 8489 section 14.7).
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "wire/crc32.h" nogil:
    uint32_t crc32_of(const uint8_t *data, uint32_t octets) noexcept
    uint32_t crc32_nibbles(uint32_t crc, const uint8_t *data, uint32_t octets) noexcept
