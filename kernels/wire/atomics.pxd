# Two verbs, two widths; rings and published counters rely on nothing cleverer.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint32_t load_acquire_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t load_acquire_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    """
    uint32_t load_acquire_u32(const uint32_t *p) noexcept
    void store_release_u32(uint32_t *p, uint32_t v) noexcept
    uint64_t load_acquire_u64(const uint64_t *p) noexcept
    void store_release_u64(uint64_t *p, uint64_t v) noexcept
