# Who owns which frame, and the verbs on the rings that keep it so.
#
# owners[frame] is 0 while the frame is ours (in the free list or in a batch), else which ring it was given to and the
# position there: OWNER_FILL or OWNER_SEND | xsk << 32 | position. It is written *before* the position becomes visible
# to the kernel and set to 0 *before* the position we took it back from is released. So whenever a worker dies:
#
#   0 and not in a ring's unread part                        ours: free
#   given, position not yet published (not before producer)  ours: free
#   in the unread part of a receive or completion ring       comes to us by reading that ring
#   else                                                     the kernel's: comes back through a ring
#
# and every frame is accounted for.
from libc.stdint cimport int32_t, uint32_t, uint64_t

from kernels.clib.libxdp cimport (
    XSK_UNALIGNED_BUF_ADDR_MASK, XSK_UNALIGNED_BUF_OFFSET_SHIFT, xsk_prod_nb_free, xsk_ring_cons,
    xsk_ring_cons__comp_addr, xsk_ring_cons__peek, xsk_ring_cons__release, xsk_ring_cons__rx_desc, xsk_ring_prod,
    xsk_ring_prod__fill_addr, xsk_ring_prod__reserve, xsk_ring_prod__submit, xsk_ring_prod__tx_desc,
)
from kernels.port.xsk cimport LEAD, PAGE_STRIDE, STRIDE, Xsk
from kernels.wire.atomics cimport load_acquire_u32, store_release_u64

cdef enum:
    REAP = 256                  # most completions of one look

cdef extern from *:
    """
    #define OWNER_FILL (1ull << 60)
    #define OWNER_SEND (2ull << 60)
    #define OWNER_SEEN (1ull << 63)     /* only inside rings_recover */
    /* In C: Cython would test for a division by zero. Strides as in xsk.pxd. */
    static inline uint64_t divided(uint64_t base, int unaligned) { return unaligned ? base / 2496 : base >> 12; }
    """
    uint64_t divided(uint64_t base, bint unaligned) noexcept nogil
    uint64_t OWNER_FILL
    uint64_t OWNER_SEND
    uint64_t OWNER_SEEN

cdef struct Pool:               # process-local
    Xsk *xsks
    uint32_t count
    uint32_t frames
    bint unaligned
    uint64_t *owners            # shared
    uint32_t *free              # stack of frames
    uint32_t free_count

cdef inline uint32_t frame_of(const Pool *pool, uint64_t address) noexcept nogil:
    return <uint32_t>divided(address & XSK_UNALIGNED_BUF_ADDR_MASK, pool.unaligned)

cdef inline uint64_t base_of(const Pool *pool, uint32_t frame) noexcept nogil:
    return <uint64_t>frame * STRIDE if pool.unaligned else <uint64_t>frame * PAGE_STRIDE

cdef inline uint64_t place_of(uint64_t address) noexcept nogil:
    """Offset in the area of what a descriptor names."""
    return (address & XSK_UNALIGNED_BUF_ADDR_MASK) + (address >> XSK_UNALIGNED_BUF_OFFSET_SHIFT)

cdef inline uint64_t address_of(const Pool *pool, uint32_t frame, uint64_t place) noexcept nogil:
    """Descriptor of the octets at `place`, which lie in `frame`."""
    cdef uint64_t base = base_of(pool, frame)
    return base | (place - base) << XSK_UNALIGNED_BUF_OFFSET_SHIFT if pool.unaligned else place

cdef inline void frame_free(Pool *pool, uint32_t frame) noexcept nogil:
    pool.free[pool.free_count] = frame
    pool.free_count += 1

cdef inline void frame_take_back(Pool *pool, uint32_t frame) noexcept nogil:
    """The frame is ours again; the position we read it from is released after this."""
    store_release_u64(&pool.owners[frame], 0)

cdef inline void fill_up(Pool *pool, uint32_t index) noexcept nogil:
    """Give free frames to the kernel for receiving, as many as the ring takes; a quarter stays for sending."""
    cdef Xsk *xsk = &pool.xsks[index]
    cdef uint32_t reserve = pool.frames // 4
    cdef uint32_t room = xsk_prod_nb_free(&xsk.fill, xsk.fill.size)
    cdef uint32_t spare = pool.free_count - reserve if pool.free_count > reserve else 0
    cdef uint32_t count = min(room, spare)
    cdef uint32_t position, i, frame
    if count == 0 or xsk_ring_prod__reserve(&xsk.fill, count, &position) == 0:
        return
    for i in range(count):
        pool.free_count -= 1
        frame = pool.free[pool.free_count]
        pool.owners[frame] = OWNER_FILL | <uint64_t>index << 32 | <uint32_t>(position + i)
        xsk_ring_prod__fill_addr(&xsk.fill, position + i)[0] = base_of(pool, frame)
    xsk_ring_prod__submit(&xsk.fill, count)

cdef inline uint32_t reap(Pool *pool, uint32_t index) noexcept nogil:
    """Take back what the kernel has sent; how many."""
    cdef Xsk *xsk = &pool.xsks[index]
    cdef uint32_t position, i, frame
    cdef uint32_t count = xsk_ring_cons__peek(&xsk.comp, REAP, &position)
    for i in range(count):
        frame = frame_of(pool, xsk_ring_cons__comp_addr(&xsk.comp, position + i)[0])
        if frame < pool.frames:
            frame_take_back(pool, frame)
            frame_free(pool, frame)
    if count:
        xsk_ring_cons__release(&xsk.comp, count)
    return count

cdef inline bint unsent(const Xsk *xsk) noexcept nogil:
    """Descriptors that the kernel has not taken yet."""
    return load_acquire_u32(xsk.tx.consumer) != xsk.tx.producer[0]

cdef void rings_recover(Pool *pool) noexcept nogil
cdef void mark_unread(Pool *pool, uint32_t index) noexcept nogil
