# A sequence number around data that one process writes and others read without disturbing it.
# Odd: being changed. The two fences are what a plain release store lacks on weakly ordered CPUs.
from libc.stdint cimport uint32_t

from kernels.wire.atomics cimport load_acquire_u32, store_release_u32

cdef extern from * nogil:
    """
    static inline void sequence_fence(void) { __atomic_thread_fence(__ATOMIC_ACQ_REL); }
    """
    void sequence_fence() noexcept

cdef inline void sequence_begin(uint32_t *sequence) noexcept nogil:
    """The writer starts a change. Harmless when a dead writer left it odd."""
    store_release_u32(sequence, sequence[0] | 1)
    sequence_fence()

cdef inline void sequence_end(uint32_t *sequence) noexcept nogil:
    store_release_u32(sequence, (sequence[0] | 1) + 1)

cdef inline uint32_t sequence_read(const uint32_t *sequence) noexcept nogil:
    """Before the data is copied; odd: try again later."""
    return load_acquire_u32(sequence)

cdef inline bint sequence_changed(const uint32_t *sequence, uint32_t before) noexcept nogil:
    """After the data was copied: True when the copy is of no use."""
    sequence_fence()
    return (before & 1) != 0 or load_acquire_u32(sequence) != before
