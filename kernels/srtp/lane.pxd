# cython: cdivision=True
# The short way of the common packet: RTP of a crypto with one key and no MKI, session keys derived once, a stream that
# has started, a sequence number up to MAX_DROPOUT ahead. It reads one line of its crypto, the Lane, and one of the
# stream, and none of the key: lifetime comes in credits. Whatever is not so goes the long way through the same round,
# which owns every verdict: the lane never rejects.
#
#   fetch_begin, fetch_next   lines of packets to come
#   lane_find, lane_fill      packet -> job: reads only (but for the credit)
#   lane_record, lane_commit  index, lifetime, counters: sending before the back end works, receiving after it
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.job cimport Job, SessionKeys
from kernels.clib.expect cimport rare, usual
from kernels.clib.prefetch cimport prefetch_far, prefetch_near
from kernels.srtp.index cimport replay_commit_next, replay_started
from kernels.srtp.iv cimport iv_cm, iv_gcm
from kernels.srtp.lookup cimport key_expired, stream_find
from kernels.srtp.tables cimport Engine, KeySlot, Lane, Ring, SET_RTP, Stream
from kernels.wire.atomics cimport store_release_u32, store_release_u64
from kernels.wire.octets cimport load_be16, load_be32, store_be32
from kernels.wire.packet cimport FRAME, KIND_RTP, NO_SLOT, Packet
from kernels.wire.rtp cimport RTP_FIXED, rtp_header_octets, rtp_ssrc

cdef enum:
    QUARTER = 0x4000            # a jump that cannot be mistaken while 64 packets are under way
    MAX_DROPOUT = 3000          # a larger one may be no loss (RFC 3550 appendix A.1): the long way judges it
    CREDIT = 4096               # most packets of a key's lifetime taken at a time ...
    CREDIT_PART = 16            # ... and which part of what is left
    FIRST = 8                   # packets between asking for the lines that a packet names and reading them
    SECOND = 8                  # ... for those that its crypto names
    CACHE_LINE = 64
    SLOT_LINES = 4              # of the back end's slot: AES-128's keys and HMAC; what more it reads it asks for itself


# --- lines of packets to come ----------------------------------------------------------------------------------
# Spread out, one packet's at a time: a core has few misses under way, and a burst of requests waits for itself.

cdef inline void fetch_begin(const Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    """Before the first packet."""
    cdef uint32_t i
    for i in range(count if count < SECOND + FIRST else SECOND + FIRST):
        fetch_first(engine, packets[i])
    for i in range(count if count < SECOND else SECOND):
        fetch_second(engine, packets[i])

cdef inline void fetch_next(const Engine *engine, Packet **packets, uint32_t at, uint32_t count) noexcept nogil:
    """Before packet `at`."""
    if at + FIRST + SECOND < count:
        fetch_first(engine, packets[at + FIRST + SECOND])
    if at + SECOND < count:
        fetch_second(engine, packets[at + SECOND])

cdef inline void fetch_first(const Engine *engine, const Packet *packet) noexcept nogil:
    """What a packet itself names: its header, its crypto."""
    prefetch_near(packet.data)
    if usual(packet.crypto < engine.header.cryptos):
        prefetch_near(&engine.lanes[packet.crypto])

cdef inline void fetch_second(const Engine *engine, const Packet *packet) noexcept nogil:
    """What its crypto names: the stream, and what the back end reads of its keys."""
    cdef const Lane *lane
    cdef const uint8_t *memory = engine.slot_memory
    cdef uint32_t stride = engine.slot_stride, line
    if rare(packet.crypto >= engine.header.cryptos):
        return
    lane = &engine.lanes[packet.crypto]
    if usual(lane.stream != NO_SLOT):
        prefetch_near(&engine.streams[lane.stream])
    if memory != NULL:
        for line in range(SLOT_LINES):
            prefetch_far(memory + <uint64_t>lane.key * stride + line * CACHE_LINE)


# --- packet to job ---------------------------------------------------------------------------------------------

cdef struct Found:              # a packet that may take the short way, and where it goes
    uint64_t index
    uint32_t header             # octets
    uint32_t ssrc
    uint32_t stream

cdef inline bint lane_find(Engine *engine, Lane *lane, const Packet *packet, uint32_t octets,
                           Found *found) noexcept nogil:
    """Look at a packet whose header and payload have `octets` octets. False: it must go the long way."""
    cdef const uint8_t *data = packet.data
    cdef uint32_t ssrc, slot = lane.stream, gap
    cdef const Stream *stream
    cdef int32_t header
    cdef uint64_t newest
    if rare(octets < RTP_FIXED or packet.length > FRAME):
        return False
    header = rtp_header_octets(data, octets)
    ssrc = rtp_ssrc(data)
    if rare(lane.ssrc != ssrc):
        slot = stream_find(engine, &engine.cryptos[packet.crypto], ssrc)
    if rare(header < 0 or slot == NO_SLOT):
        return False
    stream = &engine.streams[slot]
    newest = stream.rtp.newest
    gap = <uint16_t>(load_be16(data + 2) - <uint16_t>newest)
    if rare(not replay_started(&stream.rtp) or gap - 1 >= MAX_DROPOUT or stream.shift != 0
            or (newest + gap) >> 48 != 0):
        return False
    if rare(lane.credit == 0) and not credit_take(engine, lane):
        return False
    found.index, found.header, found.ssrc, found.stream = newest + gap, <uint32_t>header, ssrc, slot
    return True

cdef inline void lane_fill(const Engine *engine, const Lane *lane, Packet *packet, uint32_t octets,
                           const Found *found, Job *job) noexcept nogil:
    """What the back end reads of a job. All is read before the first store: the compiler must take any store for one
    into what it reads."""
    cdef uint8_t *data = packet.data
    cdef uint32_t key = lane.key, number = packet.crypto, word = lane.tag
    cdef const SessionKeys *keys = &engine.keys[key].sets[<int>SET_RTP]
    if rare(lane.aead):
        iv_gcm(job.iv, lane.salt, found.ssrc, found.index)
    else:
        word |= 4 << 8
        iv_cm(job.iv, lane.salt, found.ssrc, found.index)
    job.data, job.tag, job.keys = data, data + octets, keys
    job.slot, job.clear, job.body = key, found.header, octets - found.header    # backend_slot of SET_RTP, which is 0
    store_be32(job.extra, <uint32_t>(found.index >> 16))
    job.tag_octets, job.extra_octets = <uint8_t>word, <uint8_t>(word >> 8)
    job.packet, job.crypto = packet, number

cdef inline void lane_record(Lane *lane, Stream *stream, Ring *ring, const Found *found, uint64_t octets,
                             uint64_t received_ns) noexcept nogil:
    """The packet counts: index, lifetime, counters. `octets`: of the protected datagram."""
    replay_commit_next(&stream.rtp, ring, found.index)
    stream.packets += 1
    stream.last_ns = received_ns
    lane.credit -= 1
    if rare(lane.stream != found.stream):
        lane.stream, lane.ssrc = found.stream, found.ssrc
    lane.packets += 1
    lane.octets += octets

cdef inline bint lane_commit(Engine *engine, Lane *lane, Job *job) noexcept nogil:
    """Record an opened packet. False: the long way must look at it again, for a neighbour of this very round took its
    index, its stream or the rest of the key's lifetime."""
    cdef Stream *stream = &engine.streams[job.stream]
    cdef Found found
    found.index, found.ssrc, found.stream = job.index, job.ssrc, job.stream
    if rare(lane.credit == 0 or found.index <= stream.rtp.newest or stream.owner != job.crypto + 1
            or stream.ssrc != found.ssrc):
        job.key, job.rtcp, job.wrong_flag = lane.key, 0, 0
        return False
    lane_record(lane, stream, &engine.rings[2 * job.stream], &found, job.packet.length, job.packet.received_ns)
    return True


# --- lifetime in credits ---------------------------------------------------------------------------------------
# KeySlot.rtp_packets counts every credit as used when it is taken; whoever reads it for a verdict gives the rest back
# first. What a dead owner had left is forfeit: a key may seem older than it is, by a part, never younger.

cdef inline bint credit_take(Engine *engine, Lane *lane) noexcept nogil:
    """False: the lifetime is used up."""
    cdef KeySlot *key = &engine.keys[lane.key]
    cdef uint64_t left
    if key_expired(key):
        return False
    left = (key.rtp_lifetime - key.rtp_packets) // CREDIT_PART + 1
    left = left if left < CREDIT else CREDIT
    store_release_u64(&key.rtp_packets, key.rtp_packets + left)
    store_release_u32(&lane.credit, <uint32_t>left)
    return True

cdef inline void credit_return(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Lane *lane = &engine.lanes[crypto]
    cdef KeySlot *key = &engine.keys[lane.key]
    cdef uint32_t rest = lane.credit
    if rest:
        store_release_u32(&lane.credit, 0)
        store_release_u64(&key.rtp_packets, key.rtp_packets - rest)
