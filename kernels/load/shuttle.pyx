# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The two halves of a fleet's turn, over ports.

Sending: talkers of a side take turns, packet k of a side is due at start + k / rate; what is due is written, sealed in
one batch, transmitted. Listening: what a port gives is opened in one batch and compared octet for octet with what was
sent, then its frames go back.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kernels.load.fleet cimport Pool, Side
from kernels.load.histogram cimport histogram_add
from kernels.load.payload cimport PayloadHead, payload_read, payload_write
from kernels.load.stream cimport NOBODY
from kernels.load.talker cimport TALKER_RECENT, Talker
from kernels.load.window cimport COPY_AGAIN, COPY_FIRST, Copy, window_note
from kernels.srtp.engine cimport engine_open, engine_seal
from kernels.wire.octets cimport store_be16, store_be32
from kernels.wire.packet cimport BATCH, DROP_NONE, DROP_REPLAY, FRAME, HEADROOM, KIND_RTP, NO_SLOT, Packet

cdef extern from * nogil:
    """
    static inline void fetch_ahead(const void *line) { __builtin_prefetch(line, 1); }
    """
    void fetch_ahead(const void *line) noexcept

cdef enum:
    LAG_LIMIT = 20000000                # ns behind its schedule after which packets are left out, not caught up
    AHEAD = 4                           # talkers whose lines are fetched before their turn
    HEADER = 12


# --- what leaves ------------------------------------------------------------------------------------------------------

cdef inline uint32_t due_now(Pool *pool, Side *side, uint64_t now) noexcept nogil:
    """Packets to write now. Far behind, they are left out and counted: catching up would be another load."""
    cdef uint64_t due = <uint64_t>(<double>(now - pool.started_ns) * side.packets_per_ns)
    cdef uint64_t limit = <uint64_t>(LAG_LIMIT * side.packets_per_ns) + BATCH
    cdef uint64_t behind
    if due <= side.planned:
        return 0
    behind = due - side.planned
    if <uint64_t>(behind / side.packets_per_ns) > pool.behind_ns:
        pool.behind_ns = <uint64_t>(behind / side.packets_per_ns)
    if behind > limit:
        pool.skipped += behind - limit
        side.planned += behind - limit
        behind = limit
    return <uint32_t>min(behind, <uint64_t>BATCH)

cdef inline Talker *next_talker(Pool *pool, Side *side) noexcept nogil:
    cdef Talker *talker = &pool.talkers[side.places[side.turn]]
    cdef Talker *later = &pool.talkers[side.places[(side.turn + AHEAD) % side.count]]
    fetch_ahead(later)
    fetch_ahead(<uint8_t *>later + 64)
    side.turn = side.turn + 1 if side.turn + 1 < side.count else 0
    return talker

cdef inline void write_packet(Pool *pool, Side *side, Talker *talker, uint32_t n, uint64_t now) noexcept nogil:
    """The talker's next packet into the n-th frame of the batch."""
    cdef Packet *packet = &side.packets[n]
    cdef uint8_t *rtp = side.frames + <uint64_t>n * FRAME + HEADROOM
    rtp[0] = 0x80
    rtp[1] = talker.payload_type | (0x80 if talker.next_number % 50 == 0 else 0)
    store_be16(rtp + 2, talker.sequence)
    store_be32(rtp + 4, talker.timestamp)
    store_be32(rtp + 8, talker.ssrc)
    payload_write(rtp, talker.payload_octets, pool.key, talker.number, talker.next_number, now)
    packet.data, packet.capacity = rtp, FRAME - HEADROOM
    packet.length = HEADER + talker.payload_octets
    packet.flow, packet.crypto = talker.socket, talker.transmit
    packet.kind, packet.drop, packet.marks = KIND_RTP, DROP_NONE, 0
    packet.peer = talker.remote
    packet.received_ns = now
    talker.sequence += 1
    talker.timestamp += talker.timestamp_step
    talker.next_number += 1

cdef void settle_sent(Pool *pool, Side *side, uint32_t count) noexcept nogil:
    """Count what left and what did not."""
    cdef uint32_t n
    cdef Packet *packet
    for n in range(count):
        packet = &side.packets[n]
        if packet.drop == DROP_NONE:
            side.tally.sent += 1
            continue
        side.tally.send_errors += 1
        side.tally.drops[packet.drop] += 1
        pool.talkers[side.by_socket[packet.flow]].refused += 1

cdef bint fleet_send(Pool *pool, Side *side, uint64_t now) noexcept nogil:
    cdef uint32_t count = due_now(pool, side, now), written = 0
    cdef Talker *talker
    for _ in range(count):
        talker = next_talker(pool, side)
        side.planned += 1
        if talker.next_number - talker.first_number >= pool.packets_each:
            continue
        write_packet(pool, side, talker, written, now)
        written += 1
    if written == 0:
        return False
    if pool.engine != NULL:
        engine_seal(pool.engine, side.batch, written)
    side.port.transmit(side.port, side.batch, written)
    settle_sent(pool, side, written)
    return True


# --- what arrives -----------------------------------------------------------------------------------------------------

cdef inline Talker *owner_of(Pool *pool, Side *side, const Packet *packet) noexcept nogil:
    """Who hears what arrives on this socket from this source; NULL: nobody should get it."""
    cdef Talker *talker
    cdef uint32_t place = side.by_socket[packet.flow] if packet.flow < side.sockets else NOBODY
    if place == NOBODY:
        return NULL
    talker = &pool.talkers[place]
    if (packet.peer.port != talker.remote.port or packet.peer.family != talker.remote.family
            or memcmp(packet.peer.ip, talker.remote.ip, 4 if talker.remote.family == 4 else 16) != 0):
        return NULL
    return talker

cdef void verify(Pool *pool, Side *side, Talker *talker, Packet *packet) noexcept nogil:
    cdef PayloadHead head
    cdef Copy copy
    if packet.length < HEADER or not payload_read(packet.data + HEADER, packet.length - HEADER, pool.key, &head):
        side.tally.corrupted += 1
        return
    if head.stream != talker.expected:
        side.tally.misrouted += 1
        return
    if head.number < talker.expected_from:
        return                          # of a run that is over: was counted as lost there
    if memcmp(packet.data, head.header, HEADER) != 0:
        side.tally.header_changed += 1
    copy = window_note(talker.recent, TALKER_RECENT, &talker.heard_highest, head.number)
    if copy == COPY_AGAIN:
        side.tally.duplicated += 1
        return
    side.tally.reordered += copy != COPY_FIRST
    side.tally.received += 1
    talker.heard += 1
    histogram_add(&pool.latency, packet.received_ns - head.sent_ns if packet.received_ns > head.sent_ns else 0)

cdef bint fleet_listen(Pool *pool, Side *side) noexcept nogil:
    cdef Talker *owners[64]
    cdef uint32_t n, count = side.port.receive(side.port, side.heard, BATCH, 0)
    cdef Packet *packet
    if count == 0:
        return False
    for n in range(count):
        packet = side.heard[n]
        owners[n] = owner_of(pool, side, packet)
        packet.crypto, packet.kind = NO_SLOT, KIND_RTP
        if owners[n] != NULL:
            packet.crypto = owners[n].receive
    if pool.engine != NULL:
        engine_open(pool.engine, side.heard, count)
    for n in range(count):
        packet = side.heard[n]
        if owners[n] == NULL:
            side.tally.misrouted += 1
        elif packet.drop != DROP_NONE:
            side.tally.drops[packet.drop] += 1
            side.tally.duplicated += packet.drop == DROP_REPLAY
        else:
            verify(pool, side, owners[n], packet)
    side.port.release(side.port)
    return True
