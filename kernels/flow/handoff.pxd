# Between workers: a datagram that arrives at another worker than the one that serves its socket (its *home*, a table in
# the arena) goes there through a ring of its own, one for each pair of workers.
#
#   handoff_give    copy into the ring towards the home                          the one it arrived at
#   handoff_wake    ring the doorbell of those that sleep, once per burst
#   handoff_doze    may I sleep? tells the others first                          the home
#   handoff_take    copy what the rings hold into frames of this process, a batch
#
# A record is counted by the ring's own head and tail too: adopt_counters of the worker corrects what a death in between
# left uncounted.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.control.layout cimport HOME_MOVING
from kernels.control.ring cimport Ring
from kernels.wire.atomics cimport add_u32, store_release_u8
from kernels.wire.packet cimport BATCH, Drop, Packet

cdef enum:
    HANDOFF_WAIT_NS = 200000000     # longest wait of a packet for a flow that is being moved
    LOBBY = 256                     # packets that wait so, out of the way of those behind them in the rings

cdef struct Neighbour:              # a worker as this one sees it, itself included
    Ring *outgoing
    Ring *incoming
    uint32_t *asleep
    int doorbell
    bint given                      # something for it since it was last woken

cdef struct Handoffs:               # process-local; workers 0: there is one worker, nothing is ever handed over
    Neighbour *neighbours
    uint32_t workers
    uint32_t me
    uint32_t turn                   # whose ring comes first: rises, so that none starves
    bint any_given
    uint8_t *homes
    uint32_t *home_changes
    uint32_t sockets
    uint32_t share                  # sockets of one worker's range
    uint8_t *frames                 # BATCH + LOBBY of them
    Packet packets[BATCH]
    Packet waiting[LOBBY]           # each with the frame of its number, behind those of `packets`
    Packet *lobby[LOBBY]            # `waiting` in order of arrival; from `lobby_count` on they are free
    uint32_t lobby_count

cdef inline uint32_t home_of(const Handoffs *handoffs, uint32_t socket) noexcept nogil:
    """The worker that serves a socket, or is about to."""
    return handoffs.homes[socket] & ~<uint32_t>HOME_MOVING

cdef inline uint32_t home_owner(const Handoffs *handoffs, uint32_t socket) noexcept nogil:
    """The worker in whose range it is: its home unless a call takes it along."""
    return socket // handoffs.share

cdef inline void home_set(Handoffs *handoffs, uint32_t socket, uint32_t home) noexcept nogil:
    store_release_u8(&handoffs.homes[socket], <uint8_t>home)
    add_u32(handoffs.home_changes, 1)

cdef Drop handoff_give(Handoffs *handoffs, const Packet *packet) noexcept nogil
cdef void handoff_wake(Handoffs *handoffs) noexcept nogil
cdef int handoff_doze(Handoffs *handoffs, int wait_ms, uint64_t now) noexcept nogil
cdef void handoff_rise(Handoffs *handoffs) noexcept nogil
cdef uint32_t handoff_take(Handoffs *handoffs, Packet **batch, uint64_t now) noexcept nogil
cdef void handoff_prepare(Handoffs *handoffs) noexcept nogil
