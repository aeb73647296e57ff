# Two verbs, two widths: rings and published counters rely on nothing cleverer. Below them what putting a neighbour to
# sleep and waking it needs: both sides store, then look at what the other stored.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    static inline uint32_t load_acquire_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint64_t load_acquire_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint8_t load_acquire_u8(const uint8_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void store_release_u8(uint8_t *p, uint8_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    static inline uint32_t exchange_u32(uint32_t *p, uint32_t v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
    static inline void add_u32(uint32_t *p, uint32_t v) { __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
    static inline void full_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
    """
    uint32_t load_acquire_u32(const uint32_t *p) noexcept
    void store_release_u32(uint32_t *p, uint32_t v) noexcept
    uint64_t load_acquire_u64(const uint64_t *p) noexcept
    void store_release_u64(uint64_t *p, uint64_t v) noexcept
    uint8_t load_acquire_u8(const uint8_t *p) noexcept
    void store_release_u8(uint8_t *p, uint8_t v) noexcept
    uint32_t exchange_u32(uint32_t *p, uint32_t v) noexcept
    void add_u32(uint32_t *p, uint32_t v) noexcept
    void full_fence() noexcept
