# CRC-32 of ISO 3309, as STUN's FINGERPRINT wants it (RFC 8489 section 14.7). Four bits at a time: messages are short.
from libc.stdint cimport uint8_t, uint32_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint32_t crc32_of(const uint8_t *data, uint32_t octets) {
        static const uint32_t table[16] = {
            0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
            0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
        };
        uint32_t crc = 0xFFFFFFFF;
        for (uint32_t i = 0; i < octets; i++) {
            crc ^= data[i];
            crc = (crc >> 4) ^ table[crc & 15];
            crc = (crc >> 4) ^ table[crc & 15];
        }
        return ~crc;
    }
    """
    uint32_t crc32_of(const uint8_t *data, uint32_t octets) noexcept
