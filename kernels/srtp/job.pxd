# From a located packet and its index to a job for the cipher back end; shared by open and seal.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.job cimport Job, SessionKeys
from kernels.srtp.context cimport CIPHER_AES_F8, CIPHER_AES_GCM
from kernels.srtp.iv cimport iv_cm, iv_f8_rtcp, iv_f8_rtp, iv_gcm
from kernels.srtp.lookup cimport epoch_of, set_find
from kernels.srtp.pool cimport set_derive
from kernels.srtp.tables cimport Crypto, Engine, KeySlot, SET_RTCP, SET_RTP, backend_slot
from kernels.wire.octets cimport load_be32, store_be32
from kernels.wire.packet cimport BATCH, DROP_CRYPTO_COUNT, Drop, Packet

cdef enum:
    ENCRYPTED = 0x80000000     # E bit of the word E || SRTCP index

cdef struct Round:              # jobs of one call of the back end: independent of each other's outcome
    Job jobs[BATCH]
    Job *order[BATCH]           # jobs[0] to jobs[63], as the back end takes them
    uint8_t fast[BATCH]         # came by the lane
    uint32_t count

cdef inline void reject(Crypto *crypto, Packet *packet, uint32_t drop) noexcept nogil:
    packet.drop = <uint16_t>drop
    if drop < DROP_CRYPTO_COUNT:                        # the others are the flow's to count
        crypto.drops[drop] += 1

cdef inline bint job_aim(Engine *engine, Crypto *crypto, Job *job, uint64_t index) noexcept nogil:
    """Point a located job (data, clear, body, rtcp, key, ssrc; SRTCP: extra too) at an index: session keys, IV, ROC.

    May derive session keys when the epoch is new (key derivation rate), over the set that was not used last: such a
    job must run before the next one of its key is aimed. False: libcrypto failed.
    """
    cdef KeySlot *key = &engine.keys[job.key]
    cdef uint64_t epoch = epoch_of(crypto, index)
    cdef int32_t which = set_find(key, job.rtcp, epoch)
    cdef const SessionKeys *keys
    if which < 0:
        which = set_derive(engine, crypto, job.key, job.rtcp, epoch)
        if which < 0:
            return False
    keys = &key.sets[which]
    job.index = index
    job.keys, job.slot = keys, backend_slot(engine, job.key, <uint32_t>which)
    if not job.rtcp:
        store_be32(job.extra, <uint32_t>(index >> 16))
    if keys.cipher == CIPHER_AES_GCM:
        iv_gcm(job.iv, keys.salt, job.ssrc, index)
    elif keys.cipher != CIPHER_AES_F8:
        iv_cm(job.iv, keys.salt, job.ssrc, index)
    elif job.rtcp:
        iv_f8_rtcp(job.iv, job.data, load_be32(job.extra))
    else:
        iv_f8_rtp(job.iv, job.data, index)
    return True

cdef inline void key_used(KeySlot *key, const Job *job) noexcept nogil:
    """Count towards the lifetime, before use when sending; remember the epoch."""
    if job.rtcp:
        key.rtcp_packets += 1
        key.current[1] = job.keys == &key.sets[<int>SET_RTCP + 1]
    else:
        key.rtp_packets += 1
        key.current[0] = job.keys == &key.sets[<int>SET_RTP + 1]

cdef inline Round *round_of(Engine *engine) noexcept nogil:
    """The engine's one round, in memory of its own: aligned, warm, and too large for a stack frame."""
    return <Round *>engine.pending
