# cython: cdivision=True
# The short way of the common packet: RTP of a crypto with one key and no MKI, session keys derived once, a stream that
# has started, a sequence number up to a quarter turn ahead. It reads one line of the crypto and one of the stream, and
# the key's none: lifetime comes in credits. Whatever is not so goes the long way through the same round, which owns
# every verdict: the lane never rejects.
#
#   fetch_*        lines of packets to come
#   lane_job       packet -> job, reads only (but for the credit)         open: before the back end
#   lane_commit    index, lifetime and counters                           open: after it; seal: before it
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.job cimport Job
from kernels.clib.prefetch cimport prefetch_far, prefetch_near
from kernels.srtp.index cimport replay_commit, replay_started
from kernels.srtp.iv cimport iv_cm, iv_gcm
from kernels.srtp.lookup cimport key_expired, stream_find
from kernels.srtp.tables cimport Crypto, Engine, KeySlot, SETS, Stream
from kernels.wire.atomics cimport store_release_u32, store_release_u64
from kernels.wire.octets cimport load_be16, load_be32, store_be32
from kernels.wire.packet cimport FRAME, KIND_RTP, NO_SLOT, Packet
from kernels.wire.rtp cimport RTP_FIXED, rtp_header_octets, rtp_ssrc

cdef enum:
    QUARTER = 0x4000            # a jump that cannot be mistaken while 64 packets are under way
    CREDIT = 4096               # most packets of a key's lifetime taken at a time ...
    CREDIT_PART = 16            # ... and which part of what is left
    AHEAD = 8                   # packets between asking for a line and reading it
    CACHE_LINE = 64


# --- lines of packets to come ----------------------------------------------------------------------------------

cdef inline void fetch_first(const Engine *engine, const Packet *packet) noexcept nogil:
    """What the packet itself names: its header, its crypto."""
    prefetch_near(packet.data)
    if packet.crypto < engine.header.cryptos:
        prefetch_near(&engine.cryptos[packet.crypto])

cdef inline void fetch_second(const Engine *engine, const Packet *packet) noexcept nogil:
    """What its crypto names: the stream and the back end's memory; and the octets that the back end will read."""
    cdef const Crypto *crypto
    cdef const uint8_t *slot
    cdef uint32_t at
    if packet.crypto >= engine.header.cryptos:
        return
    crypto = &engine.cryptos[packet.crypto]
    if crypto.stream != NO_SLOT:
        prefetch_near(&engine.streams[crypto.stream])
    if engine.slot_memory != NULL:
        slot = engine.slot_memory + <uint64_t>crypto.slot * engine.slot_stride
        for at in range(engine.slot_stride // CACHE_LINE):
            prefetch_far(slot + CACHE_LINE * at)


# --- packet to job ---------------------------------------------------------------------------------------------

cdef inline bint lane_job(Engine *engine, Crypto *crypto, Packet *packet, uint32_t octets, Job *job) noexcept nogil:
    """Fill the job of a packet whose header and payload have `octets` octets. False: it must go the long way."""
    cdef const uint8_t *data = packet.data
    cdef uint32_t ssrc, slot, gap
    cdef const Stream *stream
    cdef int32_t header
    cdef uint64_t index
    if octets < RTP_FIXED or packet.length > FRAME:
        return False
    header = rtp_header_octets(data, octets)
    ssrc = rtp_ssrc(data)
    slot = crypto.stream if crypto.ssrc == ssrc else stream_find(engine, crypto, ssrc)
    if header < 0 or slot == NO_SLOT or not (crypto.credit or credit_take(engine, crypto)):
        return False
    stream = &engine.streams[slot]
    gap = <uint16_t>(load_be16(data + 2) - <uint16_t>stream.rtp.newest)
    index = stream.rtp.newest + gap
    if not replay_started(&stream.rtp) or gap == 0 or gap > QUARTER or index >> 48:
        return False
    if crypto.aead:
        iv_gcm(job.iv, crypto.salt, ssrc, index)
    else:
        iv_cm(job.iv, crypto.salt, ssrc, index)
    job.data, job.tag = packet.data, packet.data + octets
    job.slot, job.key = crypto.slot, crypto.slot // SETS
    job.keys = &engine.keys[crypto.slot // SETS].sets[crypto.slot % SETS]
    job.clear, job.body = <uint32_t>header, octets - <uint32_t>header
    store_be32(job.extra, <uint32_t>(index >> 16))
    job.tag_octets, job.extra_octets = crypto.rtp_tag, 0 if crypto.aead else 4
    job.rtcp = job.wrong_flag = 0
    job.packet, job.index, job.crypto, job.stream, job.ssrc = packet, index, packet.crypto, slot, ssrc
    return True

cdef inline bint lane_commit(Engine *engine, Crypto *crypto, const Job *job) noexcept nogil:
    """Record the packet of a job. False: not before the long way has looked at it again, for a neighbour of this very
    round took its index, its stream or the rest of the key's lifetime."""
    cdef Stream *stream = &engine.streams[job.stream]
    if (crypto.credit == 0 or job.index <= stream.rtp.newest or stream.owner != job.crypto + 1
            or stream.ssrc != job.ssrc):
        return False
    replay_commit(&stream.rtp, job.index)
    crypto.credit -= 1
    crypto.stream, crypto.ssrc = job.stream, job.ssrc
    stream.packets += 1
    stream.last_ns = job.packet.received_ns
    return True


# --- lifetime in credits ---------------------------------------------------------------------------------------
# KeySlot.rtp_packets counts every credit as used when it is taken; whoever reads it for a verdict gives the rest back
# first. What a dead owner had left is forfeit: a key may seem older than it is, by a part, never younger.

cdef inline bint credit_take(Engine *engine, Crypto *crypto) noexcept nogil:
    """False: the lifetime is used up."""
    cdef KeySlot *key = &engine.keys[crypto.slot // SETS]
    cdef uint64_t left
    if key_expired(key):
        return False
    left = (key.rtp_lifetime - key.rtp_packets) // CREDIT_PART + 1
    left = left if left < CREDIT else CREDIT
    store_release_u64(&key.rtp_packets, key.rtp_packets + left)
    store_release_u32(&crypto.credit, <uint32_t>left)
    return True

cdef inline void credit_return(Engine *engine, Crypto *crypto) noexcept nogil:
    cdef KeySlot *key = &engine.keys[crypto.slot // SETS]
    cdef uint32_t rest = crypto.credit
    if rest:
        store_release_u32(&crypto.credit, 0)
        store_release_u64(&key.rtp_packets, key.rtp_packets - rest)
