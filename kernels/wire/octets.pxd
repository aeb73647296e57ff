# Network order loads and stores at any alignment.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define WIRE16(v) (v)
    #define WIRE32(v) (v)
    #define WIRE64(v) (v)
    #else
    #define WIRE16(v) __builtin_bswap16(v)
    #define WIRE32(v) __builtin_bswap32(v)
    #define WIRE64(v) __builtin_bswap64(v)
    #endif
    static inline uint16_t load_be16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return WIRE16(v); }
    static inline uint32_t load_be32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return WIRE32(v); }
    static inline uint64_t load_be64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return WIRE64(v); }
    static inline void store_be16(uint8_t *p, uint16_t v) { v = WIRE16(v); memcpy(p, &v, 2); }
    static inline void store_be32(uint8_t *p, uint32_t v) { v = WIRE32(v); memcpy(p, &v, 4); }
    static inline void store_be64(uint8_t *p, uint64_t v) { v = WIRE64(v); memcpy(p, &v, 8); }
    """
    uint16_t load_be16(const uint8_t *p) noexcept
    uint32_t load_be32(const uint8_t *p) noexcept
    uint64_t load_be64(const uint8_t *p) noexcept
    void store_be16(uint8_t *p, uint16_t v) noexcept
    void store_be32(uint8_t *p, uint32_t v) noexcept
    void store_be64(uint8_t *p, uint64_t v) noexcept
