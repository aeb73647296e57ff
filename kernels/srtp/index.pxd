# Packet index and replay window of one index space (RFC 3711 sections 3.3.1, 3.3.2, appendix A). The order of
# trust is in the types: estimate and check take const, commit is the only writer.
#
# Bits stand in words of 64 indices. The word of the newest index is `recent`, beside it in the same cache line; older
# words are in the ring, elsewhere, which an orderly stream touches once in 64 packets.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from kernels.srtp.tables cimport Ring, Window
from kernels.wire.atomics cimport store_release_u64
from kernels.wire.packet cimport DROP_KEY_EXPIRED, DROP_NONE, DROP_REPLAY, DROP_REPLAY_OLD, Drop

cdef enum:
    ROLLOVER = 0x10000          # packets of one turn of the sequence number
    WORDS = 16                  # of Ring.seen

cdef inline bint replay_started(const Window *window) noexcept nogil:
    """Whether any packet was accepted: its bit is in `recent` from then on."""
    return window.recent != 0

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

cdef inline Drop replay_check(const Window *window, const Ring *ring, int64_t index, uint32_t width) noexcept nogil:
    """DROP_NONE when index was not accepted before and is not older than the window of `width` packets. Reads only."""
    cdef uint64_t word
    if index >> 48 > 0:
        return DROP_KEY_EXPIRED             # ROC beyond 32 bits: the index would begin again at 0
    if not replay_started(window):
        return DROP_NONE if index >= 0 else DROP_REPLAY_OLD
    if index > <int64_t>window.newest:
        return DROP_NONE
    if <int64_t>window.newest - index >= width:
        return DROP_REPLAY_OLD
    if index < 0:
        return DROP_REPLAY_OLD
    word = window.recent if <uint64_t>index >> 6 == window.newest >> 6 else ring.seen[(index >> 6) & (WORDS - 1)]
    return DROP_REPLAY if word >> (index & 63) & 1 else DROP_NONE

cdef inline void replay_commit(Window *window, Ring *ring, uint64_t index) noexcept nogil:
    """Record an authenticated (sender: a reserved) index. The newest index is stored first: whatever dies between
    two stores, no index above it was ever used (replay_close settles the bits)."""
    cdef uint64_t bit = <uint64_t>1 << (index & 63), before = window.newest >> 6, now = index >> 6
    if not replay_started(window):
        memset(ring.seen, 0, sizeof(ring.seen))
        store_release_u64(&window.newest, index)
        store_release_u64(&window.recent, bit)
    elif index > window.newest:
        replay_commit_next(window, ring, index)
    elif now == before:
        window.recent |= bit
    else:
        ring.seen[now & (WORDS - 1)] |= bit

cdef inline void replay_commit_next(Window *window, Ring *ring, uint64_t index) noexcept nogil:
    """The same of an index above the newest, the window being started."""
    cdef uint64_t bit = <uint64_t>1 << (index & 63), before = window.newest >> 6, now = index >> 6
    store_release_u64(&window.newest, index)
    if now == before:
        window.recent |= bit
        return
    replay_turn(window, ring, before, now)
    window.recent = bit

cdef inline void replay_turn(Window *window, Ring *ring, uint64_t before, uint64_t now) noexcept nogil:
    """The newest index leaves word `before` for word `now`: keep the former in the ring, forget what the ring says of
    the words between (their bits belong to packets 1024 older)."""
    if now - before > WORDS:
        memset(ring.seen, 0, sizeof(ring.seen))
        return
    ring.seen[before & (WORDS - 1)] = window.recent
    before += 1
    while before < now:
        ring.seen[before & (WORDS - 1)] = 0
        before += 1

cdef inline void replay_close(Window *window, Ring *ring) noexcept nogil:
    """After an owner died: hold everything up to the newest index for seen. Costs late packets, never a replay."""
    if replay_started(window):
        memset(ring.seen, 0xFF, sizeof(ring.seen))
        window.recent = (<uint64_t>2 << (window.newest & 63)) - 1      # and none above it
