# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The hand-off rings' two ends; see handoff.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.clib.linux cimport write
from kernels.control.layout cimport HOME_MOVING
from kernels.control.records cimport Handoff
from kernels.control.ring cimport Ring, ring_peek, ring_release, ring_reserve, ring_submit
from kernels.flow.handoff cimport HANDOFF_WAIT_NS, LOBBY, Handoffs, Neighbour
from kernels.wire.atomics cimport exchange_u32, full_fence, load_acquire_u8, store_release_u32
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_HANDOFF_FULL, DROP_HANDOFF_LATE, DROP_NONE, FRAME, HEADROOM, NO_SLOT, Drop, Packet,
)

cdef enum:
    BLOCKED_MS = 10             # longest sleep while a packet waits for its flow


cdef Drop handoff_give(Handoffs *handoffs, const Packet *packet) noexcept nogil:
    """Copy a datagram into the ring towards its home. DROP_NONE: it is there."""
    cdef Neighbour *home = &handoffs.neighbours[handoffs.homes[packet.flow] & ~<uint32_t>HOME_MOVING]
    cdef Handoff *record = <Handoff *>ring_reserve(home.outgoing)
    if record == NULL:
        return DROP_HANDOFF_FULL
    record.socket = packet.flow
    record.length = packet.length
    record.received_ns = packet.received_ns
    record.source = packet.peer
    memcpy(record.data, packet.data, packet.length)
    ring_submit(home.outgoing)
    home.given = True
    handoffs.any_given = True
    return DROP_NONE


cdef void handoff_wake(Handoffs *handoffs) noexcept nogil:
    """After a burst. The fence stands between our store (the ring's head) and our look at `asleep`, as another one does
    on the other side: one of the two sees what the other did."""
    cdef uint64_t one = 1
    cdef uint32_t i
    cdef Neighbour *neighbour
    if not handoffs.any_given:
        return
    handoffs.any_given = False
    full_fence()
    for i in range(handoffs.workers):
        neighbour = &handoffs.neighbours[i]
        if neighbour.given:
            neighbour.given = False
            if neighbour.asleep[0] and exchange_u32(neighbour.asleep, 0) and neighbour.doorbell >= 0:
                write(neighbour.doorbell, &one, sizeof(one))


cdef int handoff_doze(Handoffs *handoffs, int wait_ms, uint64_t now) noexcept nogil:
    """How long the worker may sleep, of the `wait_ms` it wishes: not at all when something can be taken."""
    cdef uint32_t i
    cdef const Handoff *record
    if wait_ms == 0 or handoffs.workers == 0:
        return wait_ms
    store_release_u32(handoffs.neighbours[handoffs.me].asleep, 1)
    full_fence()
    for i in range(handoffs.lobby_count):
        if not must_wait(handoffs, handoffs.lobby[i].flow, handoffs.lobby[i].received_ns, now):
            return 0
        wait_ms = min(wait_ms, BLOCKED_MS)
    for i in range(handoffs.workers):
        record = <const Handoff *>ring_peek(handoffs.neighbours[i].incoming)
        if record != NULL:
            if handoffs.lobby_count < LOBBY or not must_wait(handoffs, record.socket, record.received_ns, now):
                return 0
            wait_ms = min(wait_ms, BLOCKED_MS)
    return wait_ms


cdef void handoff_rise(Handoffs *handoffs) noexcept nogil:
    """Awake: nobody needs to ring."""
    if handoffs.workers:
        store_release_u32(handoffs.neighbours[handoffs.me].asleep, 0)


cdef bint coming(const Handoffs *handoffs, uint32_t socket) noexcept nogil:
    """Is a flow on its way here?"""
    return (socket < handoffs.sockets
            and load_acquire_u8(&handoffs.homes[socket]) == (handoffs.me | HOME_MOVING))


cdef bint must_wait(const Handoffs *handoffs, uint32_t socket, uint64_t received_ns, uint64_t now) noexcept nogil:
    """Its flow is on the way here, and it is not so late that it is given up."""
    return coming(handoffs, socket) and now < received_ns + HANDOFF_WAIT_NS


cdef uint32_t handoff_take(Handoffs *handoffs, Packet **batch, uint64_t now) noexcept nogil:
    """Up to BATCH datagrams, those first that waited for their flow, then out of all rings; how many. What must wait
    goes to the lobby; when that is full it keeps those behind it in its ring waiting too. Order in a stream is kept."""
    cdef uint32_t filled = leave_lobby(handoffs, batch, now)
    cdef uint32_t i
    cdef Ring *ring
    cdef const Handoff *record
    for i in range(handoffs.workers):
        ring = handoffs.neighbours[(handoffs.turn + i) % handoffs.workers].incoming
        while filled < BATCH:
            record = <const Handoff *>ring_peek(ring)
            if record == NULL:
                break
            if must_wait(handoffs, record.socket, record.received_ns, now):
                if handoffs.lobby_count == LOBBY:
                    break
                enter_lobby(handoffs, record)
            else:
                batch[filled] = unwrap(handoffs, record, &handoffs.packets[filled], filled)
                filled += 1
            ring_release(ring)
    handoffs.turn += 1
    return filled


cdef void handoff_prepare(Handoffs *handoffs) noexcept nogil:
    """An empty lobby."""
    cdef uint32_t i
    for i in range(LOBBY):
        handoffs.lobby[i] = &handoffs.waiting[i]


cdef void enter_lobby(Handoffs *handoffs, const Handoff *record) noexcept nogil:
    cdef Packet *packet = handoffs.lobby[handoffs.lobby_count]
    unwrap(handoffs, record, packet, BATCH + <uint32_t>(packet - handoffs.waiting))
    handoffs.lobby_count += 1


cdef uint32_t leave_lobby(Handoffs *handoffs, Packet **batch, uint64_t now) noexcept nogil:
    """Those whose flow has come, or that have waited too long, into the batch's frames; how many."""
    cdef Packet *free[BATCH]
    cdef uint32_t filled = 0, kept = 0, i
    cdef Packet *packet
    for i in range(handoffs.lobby_count):
        packet = handoffs.lobby[i]
        if filled == BATCH or must_wait(handoffs, packet.flow, packet.received_ns, now):
            handoffs.lobby[kept] = packet
            kept += 1
            continue
        batch[filled] = &handoffs.packets[filled]
        batch[filled][0] = packet[0]
        batch[filled].data = handoffs.frames + <uint64_t>filled * FRAME + HEADROOM
        batch[filled].drop = DROP_HANDOFF_LATE if coming(handoffs, packet.flow) else DROP_NONE
        memcpy(batch[filled].data, packet.data, packet.length)
        free[filled] = packet
        filled += 1
    for i in range(filled):
        handoffs.lobby[kept + i] = free[i]
    handoffs.lobby_count = kept
    return filled


cdef inline Packet *unwrap(const Handoffs *handoffs, const Handoff *record, Packet *packet,
                           uint32_t frame) noexcept nogil:
    """A record as a Packet in a frame of ours. It was screened by nobody: its length is checked again."""
    packet.data = handoffs.frames + <uint64_t>frame * FRAME + HEADROOM
    packet.length = min(record.length, DATAGRAM)
    packet.capacity = FRAME - HEADROOM
    packet.flow = record.socket
    packet.crypto = NO_SLOT
    packet.drop = DROP_HANDOFF_LATE if coming(handoffs, record.socket) else DROP_NONE
    packet.kind = 0
    packet.marks = 0
    packet.peer = record.source
    packet.received_ns = record.received_ns
    memcpy(packet.data, record.data, packet.length)
    return packet
