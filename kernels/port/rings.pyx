# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Taking over rings that another process has used (see rings.pxd)."""
from libc.stdint cimport int32_t, uint32_t, uint64_t

from kernels.clib.libxdp cimport xsk_ring_cons__comp_addr, xsk_ring_cons__rx_desc
from kernels.port.rings cimport OWNER_FILL, OWNER_SEEN, Pool, frame_free, frame_of
from kernels.port.xsk cimport Xsk
from kernels.wire.atomics cimport load_acquire_u32


cdef void rings_recover(Pool *pool) noexcept nogil:
    """Begin where the last owner stopped: cached positions from the rings, the free list from the owners."""
    cdef uint32_t i, frame, position
    cdef uint64_t owner
    cdef Xsk *xsk
    for i in range(pool.count):
        xsk = &pool.xsks[i]
        xsk.rx.cached_prod = xsk.rx.cached_cons = xsk.rx.consumer[0]
        xsk.comp.cached_prod = xsk.comp.cached_cons = xsk.comp.consumer[0]
        xsk.tx.cached_prod = xsk.tx.producer[0]
        xsk.tx.cached_cons = load_acquire_u32(xsk.tx.consumer) + xsk.tx.size
        xsk.fill.cached_prod = xsk.fill.producer[0]
        xsk.fill.cached_cons = load_acquire_u32(xsk.fill.consumer) + xsk.fill.size
        mark_unread(pool, i)
    pool.free_count = 0
    for frame in range(pool.frames):
        owner = pool.owners[frame]
        if owner & OWNER_SEEN:
            pool.owners[frame] = owner & ~OWNER_SEEN
            continue
        if owner != 0:
            xsk = &pool.xsks[(owner >> 32) & 0xFF]
            position = xsk.fill.producer[0] if owner & OWNER_FILL else xsk.tx.producer[0]
            if <int32_t>(position - <uint32_t>owner) > 0:
                continue                                # published: the kernel gives it back through a ring
            pool.owners[frame] = 0
        frame_free(pool, frame)


cdef void mark_unread(Pool *pool, uint32_t index) noexcept nogil:
    """Frames in the unread part of the receive and completion rings will come by reading these."""
    cdef Xsk *xsk = &pool.xsks[index]
    cdef uint32_t i, frame
    for i in range(load_acquire_u32(xsk.rx.producer) - xsk.rx.consumer[0]):
        frame = frame_of(pool, xsk_ring_cons__rx_desc(&xsk.rx, xsk.rx.consumer[0] + i).addr)
        if frame < pool.frames:
            pool.owners[frame] |= OWNER_SEEN
    for i in range(load_acquire_u32(xsk.comp.producer) - xsk.comp.consumer[0]):
        frame = frame_of(pool, xsk_ring_cons__comp_addr(&xsk.comp, xsk.comp.consumer[0] + i)[0])
        if frame < pool.frames:
            pool.owners[frame] |= OWNER_SEEN
