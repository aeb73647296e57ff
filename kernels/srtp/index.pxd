# Packet index and replay window of one index space (RFC 3711 sections 3.3.1, 3.3.2, appendix A). The order of
# trust is in the types: estimate and check take const, commit is the only writer.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from kernels.srtp.tables cimport MOST_WINDOW, Window
from kernels.wire.atomics cimport store_release_u64
from kernels.wire.packet cimport DROP_KEY_EXPIRED, DROP_NONE, DROP_REPLAY, DROP_REPLAY_OLD, Drop

cdef enum:
    ROLLOVER = 0x10000          # packets of one turn of the sequence number

cdef inline int64_t index_estimate(const Window *window, uint16_t sequence) noexcept nogil:
    """The index nearest to the newest one that ends in `sequence`; negative: it lies before the first. Reads only.

    Exactly 2^15 away stays in the same turn, as in appendix A. Only meaningful once the window has started.
    """
    cdef int64_t rollover = <int64_t>(window.newest >> 16)
    cdef int64_t gap = <int64_t>sequence - <int64_t>(window.newest & 0xFFFF)
    if gap > 0x8000:
        rollover -= 1
    elif gap < -0x8000:
        rollover += 1
    return rollover * ROLLOVER + sequence

cdef inline Drop replay_check(const Window *window, int64_t index, uint32_t width) noexcept nogil:
    """DROP_NONE when index was not accepted before and is not older than the window of `width` packets. Reads only."""
    if index >> 48 > 0:
        return DROP_KEY_EXPIRED             # ROC beyond 32 bits: the index would begin again at 0
    if not window.started:
        return DROP_NONE if index >= 0 else DROP_REPLAY_OLD
    if index > <int64_t>window.newest:
        return DROP_NONE
    if <int64_t>window.newest - index >= width:
        return DROP_REPLAY_OLD
    if index < 0:
        return DROP_REPLAY_OLD
    if window.seen[(index >> 6) & 15] >> (index & 63) & 1:
        return DROP_REPLAY
    return DROP_NONE

cdef inline void replay_commit(Window *window, uint64_t index) noexcept nogil:
    """Record an authenticated (sender: a reserved) index. The newest index is stored first: whatever dies between
    two stores, no index above it was ever used (replay_close settles the bits)."""
    cdef uint64_t old = window.newest
    if not window.started:
        memset(window.seen, 0, sizeof(window.seen))
        store_release_u64(&window.newest, index)
        window.seen[(index >> 6) & 15] = <uint64_t>1 << (index & 63)
        store_release_u64(&window.started, 1)
        return
    if index > old:
        store_release_u64(&window.newest, index)
        if index - old > 1:
            replay_clear(window, old + 1, index - old - 1)
    window.seen[(index >> 6) & 15] |= <uint64_t>1 << (index & 63)

cdef inline void replay_clear(Window *window, uint64_t position, uint64_t count) noexcept nogil:
    """Forget what the ring says of `count` indices from `position` on: their bits belong to packets 1024 older."""
    cdef uint64_t bit, run
    if count >= MOST_WINDOW:
        memset(window.seen, 0, sizeof(window.seen))
        return
    while count:
        bit = position & 63
        run = 64 - bit if count > 64 - bit else count
        window.seen[(position >> 6) & 15] &= ~((~<uint64_t>0 if run == 64 else (<uint64_t>1 << run) - 1) << bit)
        position += run
        count -= run

cdef inline void replay_close(Window *window) noexcept nogil:
    """After an owner died: hold everything up to the newest index for seen. Costs late packets, never a replay."""
    memset(window.seen, 0xFF, sizeof(window.seen))
