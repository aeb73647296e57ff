# One writer, one reader, fixed records, in shared memory. The verbs (libxdp's) make it impossible to
# forget a barrier: reserve -> fill -> submit on one side, peek -> use -> release on the other.
#
# A record is consumed by `release`, not by `peek`: a reader that dies between the two finds the record
# again. A writer that dies between `reserve` and `submit` has written nothing.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from kernels.wire.atomics cimport load_acquire_u32, store_release_u32

cdef struct Ring:
    uint32_t head               # written by the writer only
    uint8_t pad0[60]
    uint32_t tail               # written by the reader only
    uint8_t pad1[60]
    uint32_t slots              # power of two
    uint32_t octets             # of one record, multiple of 64
    uint8_t pad2[56]            # records follow

cdef inline uint64_t ring_footprint(uint32_t slots, uint32_t octets) noexcept nogil:
    return sizeof(Ring) + <uint64_t>slots * octets

cdef inline void ring_format(Ring *ring, uint32_t slots, uint32_t octets) noexcept nogil:
    memset(ring, 0, ring_footprint(slots, octets))
    ring.slots = slots
    ring.octets = octets

cdef inline uint8_t *ring_record(Ring *ring, uint32_t position) noexcept nogil:
    return <uint8_t *>ring + sizeof(Ring) + <uint64_t>(position & (ring.slots - 1)) * ring.octets

cdef inline void *ring_reserve(Ring *ring) noexcept nogil:
    """The next record to fill, NULL when full."""
    if ring.head - load_acquire_u32(&ring.tail) >= ring.slots:
        return NULL
    return ring_record(ring, ring.head)

cdef inline void ring_submit(Ring *ring) noexcept nogil:
    store_release_u32(&ring.head, ring.head + 1)

cdef inline void *ring_peek(Ring *ring) noexcept nogil:
    """The oldest record, NULL when empty. It stays until `ring_release`."""
    if ring.tail == load_acquire_u32(&ring.head):
        return NULL
    return ring_record(ring, ring.tail)

cdef inline void ring_release(Ring *ring) noexcept nogil:
    store_release_u32(&ring.tail, ring.tail + 1)
