# Asking for a cache line before it is needed; any address is allowed, even none of ours.

cdef extern from * nogil:
    """
    static inline void prefetch_near(const void *p) { __builtin_prefetch(p, 0, 3); }
    static inline void prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); }
    """
    void prefetch_near(const void *p) noexcept         # into the first level: needed within a few packets
    void prefetch_far(const void *p) noexcept          # into the second: needed when the batch is
