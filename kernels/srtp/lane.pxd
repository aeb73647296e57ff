# cython: cdivision=True
# The short way of the common packet: RTP of a crypto with one key and no MKI, session keys derived once, a stream that
# has started, a sequence number up to a quarter turn ahead. It reads one line of the crypto and one of the stream, and
# the key's none: lifetime comes in credits. Whatever is not so goes the long way through the same round, which owns
# every verdict: the lane never rejects.
#
#   fetch_begin, fetch_step   lines of packets to come
#   lane_job                  packet -> job, reads only (but for the credit)         open: before the back end
#   lane_commit               index, lifetime and counters                           open: after it; seal: before it
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.job cimport Job
from kernels.clib.expect cimport rare, usual
from kernels.clib.prefetch cimport prefetch_far, prefetch_near
from kernels.srtp.index cimport replay_commit_next, replay_started
from kernels.srtp.iv cimport iv_cm, iv_gcm
from kernels.srtp.lookup cimport key_expired, stream_find
from kernels.srtp.tables cimport Crypto, Engine, KeySlot, SET_RTP, Stream
from kernels.wire.atomics cimport store_release_u32, store_release_u64
from kernels.wire.octets cimport load_be16, load_be32, store_be32
from kernels.wire.packet cimport FRAME, KIND_RTP, NO_SLOT, Packet
from kernels.wire.rtp cimport RTP_FIXED, rtp_header_octets, rtp_ssrc

cdef enum:
    QUARTER = 0x4000            # a jump that cannot be mistaken while 64 packets are under way
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
        prefetch_near(&engine.cryptos[packet.crypto])

cdef inline void fetch_second(const Engine *engine, const Packet *packet) noexcept nogil:
    """What its crypto names: the stream, and what the back end reads of its keys."""
    cdef const Crypto *crypto
    cdef const uint8_t *memory = engine.slot_memory
    cdef uint32_t stride = engine.slot_stride, line
    if rare(packet.crypto >= engine.header.cryptos):
        return
    crypto = &engine.cryptos[packet.crypto]
    if usual(crypto.stream != NO_SLOT):
        prefetch_near(&engine.streams[crypto.stream])
    if memory != NULL:
        for line in range(SLOT_LINES):
            prefetch_far(memory + <uint64_t>crypto.key * stride + line * CACHE_LINE)


# --- packet to job ---------------------------------------------------------------------------------------------
# Everything is read into locals before the first store: the compiler must take any store for one into what it reads.

cdef inline bint lane_job(Engine *engine, Crypto *crypto, Packet *packet, uint32_t octets, Job *job) noexcept nogil:
    """Fill the job of a packet whose header and payload have `octets` octets. False: it must go the long way."""
    cdef uint8_t *data = packet.data
    cdef uint32_t key = crypto.key, stream = crypto.stream, tag = crypto.rtp_tag, number = packet.crypto, ssrc, gap
    cdef bint aead = crypto.aead
    cdef int32_t header
    cdef uint64_t index
    if rare(octets < RTP_FIXED or packet.length > FRAME):
        return False
    header = rtp_header_octets(data, octets)
    ssrc = rtp_ssrc(data)
    if rare(crypto.ssrc != ssrc):
        stream = stream_find(engine, crypto, ssrc)
    if rare(header < 0 or stream == NO_SLOT):
        return False
    index = engine.streams[stream].rtp.newest
    gap = <uint16_t>(load_be16(data + 2) - <uint16_t>index)
    index += gap
    if rare(not replay_started(&engine.streams[stream].rtp) or gap == 0 or gap > QUARTER or index >> 48 != 0):
        return False
    if rare(crypto.credit == 0) and not credit_take(engine, crypto):
        return False
    job.keys = &engine.keys[key].sets[<int>SET_RTP]
    if aead:
        iv_gcm(job.iv, crypto.salt, ssrc, index)
    else:
        iv_cm(job.iv, crypto.salt, ssrc, index)
    job.data, job.tag, job.slot = data, data + octets, key        # backend_slot of SET_RTP, which is 0
    job.clear, job.body = <uint32_t>header, octets - <uint32_t>header
    store_be32(job.extra, <uint32_t>(index >> 16))
    job.tag_octets, job.extra_octets = <uint8_t>tag, 0 if aead else 4
    job.rtcp = job.wrong_flag = 0
    job.packet, job.index, job.crypto, job.stream, job.ssrc = packet, index, number, stream, ssrc
    return True

cdef inline bint lane_commit(Engine *engine, Crypto *crypto, Job *job) noexcept nogil:
    """Record the packet of a job. False: the long way must look at it (again), for a neighbour of this very round took
    its index, its stream or the rest of the key's lifetime."""
    cdef Stream *stream = &engine.streams[job.stream]
    cdef uint64_t index = job.index, octets = job.packet.length, received_ns = job.packet.received_ns
    cdef uint32_t ssrc = job.ssrc, slot = job.stream, credit = crypto.credit
    if rare(credit == 0 or index <= stream.rtp.newest or stream.owner != job.crypto + 1 or stream.ssrc != ssrc):
        job.key = crypto.key
        return False
    replay_commit_next(&stream.rtp, index)
    stream.packets += 1
    stream.last_ns = received_ns
    crypto.credit = credit - 1
    crypto.stream, crypto.ssrc = slot, ssrc
    crypto.packets += 1
    crypto.octets += octets
    return True


# --- lifetime in credits ---------------------------------------------------------------------------------------
# KeySlot.rtp_packets counts every credit as used when it is taken; whoever reads it for a verdict gives the rest back
# first. What a dead owner had left is forfeit: a key may seem older than it is, by a part, never younger.

cdef inline bint credit_take(Engine *engine, Crypto *crypto) noexcept nogil:
    """False: the lifetime is used up."""
    cdef KeySlot *key = &engine.keys[crypto.key]
    cdef uint64_t left
    if key_expired(key):
        return False
    left = (key.rtp_lifetime - key.rtp_packets) // CREDIT_PART + 1
    left = left if left < CREDIT else CREDIT
    store_release_u64(&key.rtp_packets, key.rtp_packets + left)
    store_release_u32(&crypto.credit, <uint32_t>left)
    return True

cdef inline void credit_return(Engine *engine, Crypto *crypto) noexcept nogil:
    cdef KeySlot *key = &engine.keys[crypto.key]
    cdef uint32_t rest = crypto.credit
    if rest:
        store_release_u32(&crypto.credit, 0)
        store_release_u64(&key.rtp_packets, key.rtp_packets - rest)
