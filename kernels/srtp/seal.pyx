# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Sending: RTP to SRTP, RTCP to SRTCP, in place.

    1. crypto and its sending key            DROP_NOT_KEYED, DROP_KEY_EXPIRED
    2. header, room for MKI, tag, index      DROP_TOO_SHORT, DROP_MALFORMED, DROP_TOO_LONG
    3. stream of the SSRC                    DROP_SSRC_LIMIT
    4. index, never used before              DROP_PROBATION, DROP_TX_REPLAY
    5. the index is stored                   ... before anything is encrypted under it
    6. back end: encrypt, authenticate       DROP_CIPHER

The common packet takes the short way of lane.pxd through 1 to 5.
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy

from kernels.cipher.job cimport Job
from kernels.clib.expect cimport rare
from kernels.srtp.context cimport CIPHER_AES_GCM, CRYPTO_PLAIN_RTP, CRYPTO_ROC_KEEP, CRYPTO_SEND
from kernels.srtp.index cimport index_estimate, replay_check, replay_commit, replay_started
from kernels.srtp.job cimport ENCRYPTED, Round, job_aim, key_used, reject, round_of
from kernels.srtp.kdf cimport DERIVE_ONCE
from kernels.srtp.lane cimport (
    MAX_DROPOUT, Found, credit_return, fetch_begin, fetch_next, lane_fill, lane_find, lane_record,
)
from kernels.srtp.lookup cimport crypto_find, key_expired, stream_find
from kernels.srtp.pool cimport stream_add
from kernels.srtp.tables cimport Crypto, Lane, Stream
from kernels.wire.octets cimport load_be16, store_be16, store_be32
from kernels.wire.packet cimport (
    BATCH, DROP_CIPHER, DROP_KEY_EXPIRED, DROP_MALFORMED, DROP_NONE, DROP_NOT_KEYED, DROP_PROBATION, DROP_SSRC_LIMIT,
    DROP_TOO_LONG, DROP_TOO_SHORT, DROP_TX_REPLAY, FRAME, KIND_RTCP, KIND_RTP, MARK_UNPROVEN,
    NO_SLOT,
)
from kernels.wire.rtp cimport RTCP_FIXED, rtcp_ssrc, rtp_header_octets, rtp_ssrc

cdef enum:
    LAST_RTCP_INDEX = 0x7FFFFFFF


cdef void seal(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    cdef Round *pending = round_of(engine)
    cdef uint32_t i
    fetch_begin(engine, packets, count)
    for i in range(count):
        fetch_next(engine, packets, i, count)
        if rare(not seal_lane(engine, pending, packets[i])):
            seal_one(engine, pending, packets[i])
        if rare(pending.count == BATCH):
            run(engine, pending)
    run(engine, pending)

cdef inline bint seal_lane(Engine *engine, Round *pending, Packet *packet) noexcept nogil:
    """header || payload || tag of the common case; anything else is seal_one's."""
    cdef Lane *lane
    cdef Job *job
    cdef Found found
    cdef uint32_t octets = packet.length, sealed
    if rare(packet.drop != DROP_NONE or packet.kind != KIND_RTP or packet.crypto >= engine.header.cryptos):
        return False
    lane = &engine.lanes[packet.crypto]
    sealed = octets + lane.tag
    if rare(lane.kind != engine.lane_seal or sealed > packet.capacity):
        return False
    if rare(not lane_find(engine, lane, packet, octets, &found)):
        return False
    lane_record(lane, &engine.streams[found.stream], &engine.rings[2 * found.stream], &found, sealed,
                packet.received_ns)
    job = &pending.jobs[pending.count]
    lane_fill(engine, lane, packet, octets, &found, job)
    job.length = <uint16_t>sealed
    pending.count += 1
    return True

cdef void seal_one(Engine *engine, Round *pending, Packet *packet) noexcept nogil:
    cdef Crypto *crypto
    cdef Job *job = &pending.jobs[pending.count]
    cdef uint32_t drop
    if packet.drop != DROP_NONE or packet.crypto == NO_SLOT or packet.kind not in (KIND_RTP, KIND_RTCP):
        return
    crypto = crypto_find(engine, packet.crypto)
    if crypto == NULL or crypto.send_key == NO_SLOT or not crypto.parameters.flags & CRYPTO_SEND:
        packet.drop = DROP_NOT_KEYED
        return
    credit_return(engine, packet.crypto)
    if key_expired(&engine.keys[crypto.send_key]):
        reject(crypto, packet, DROP_KEY_EXPIRED)
        return
    if packet.kind == KIND_RTP:
        drop = prepare_rtp(engine, crypto, packet, job)
    else:
        drop = prepare_rtcp(engine, crypto, packet, job)
    if drop != DROP_NONE:
        reject(crypto, packet, drop)
        return
    pending.count += 1
    engine.lanes[packet.crypto].packets += 1
    engine.lanes[packet.crypto].octets += job.length
    if crypto.parameters.kdr_log2 != DERIVE_ONCE:       # the next one may derive over these session keys
        run(engine, pending)

cdef uint32_t prepare_rtp(Engine *engine, Crypto *crypto, Packet *packet, Job *job) noexcept nogil:
    cdef int32_t header = rtp_header_octets(packet.data, packet.length)
    cdef uint32_t mki = crypto.parameters.mki_octets
    cdef uint8_t *end = packet.data + packet.length
    cdef Stream *stream
    cdef int64_t index
    cdef uint32_t drop
    if header < 0:
        return <uint32_t>-header
    if packet.length > FRAME or packet.length + mki + crypto.rtp_tag > packet.capacity:
        return DROP_TOO_LONG
    begin(job, crypto, packet, rtp_ssrc(packet.data), False)
    stream = stream_of(engine, packet, job)
    if stream == NULL:
        return DROP_SSRC_LIMIT
    index = next_rtp(crypto, stream, <uint16_t>(load_be16(packet.data + 2) + stream.shift))
    if packet.marks & MARK_UNPROVEN and not credible(crypto, stream, packet, &index):
        return DROP_PROBATION
    drop = replay_check(&stream.rtp, &engine.rings[2 * job.stream], index, crypto.parameters.window)
    if drop != DROP_NONE:
        return drop if drop == DROP_KEY_EXPIRED else DROP_TX_REPLAY
    lay_out(job, packet.length if crypto.parameters.flags & CRYPTO_PLAIN_RTP else <uint32_t>header, crypto.rtp_tag)
    job.tag = end if crypto.parameters.cipher == CIPHER_AES_GCM else end + mki
    job.extra_octets = 0 if crypto.parameters.cipher == CIPHER_AES_GCM else 4
    job.length = <uint16_t>(packet.length + mki + crypto.rtp_tag)
    if not job_aim(engine, crypto, job, <uint64_t>index):
        return DROP_CIPHER
    replay_commit(&stream.rtp, &engine.rings[2 * job.stream], <uint64_t>index)
    store_be16(packet.data + 2, <uint16_t>index)
    key_used(&engine.keys[job.key], job)
    stream.packets += 1
    stream.last_ns = packet.received_ns
    memcpy(end + crypto.rtp_tag if crypto.parameters.cipher == CIPHER_AES_GCM else end, engine.keys[job.key].mki, mki)
    return DROP_NONE

cdef uint32_t prepare_rtcp(Engine *engine, Crypto *crypto, Packet *packet, Job *job) noexcept nogil:
    """... || E || index || MKI || tag; AEAD: ... || tag || E || index || MKI (RFC 7714 section 9.2)."""
    cdef uint32_t mki = crypto.parameters.mki_octets, tag = crypto.parameters.rtcp_tag
    cdef bint aead = crypto.parameters.cipher == CIPHER_AES_GCM
    cdef uint8_t *word = packet.data + packet.length + (tag if aead else 0)
    cdef Stream *stream
    if packet.length < RTCP_FIXED:
        return DROP_TOO_SHORT
    if packet.data[0] >> 6 != 2:
        return DROP_MALFORMED
    if packet.length > FRAME or packet.length + 4 + mki + tag > packet.capacity:
        return DROP_TOO_LONG
    begin(job, crypto, packet, rtcp_ssrc(packet.data), True)
    stream = stream_of(engine, packet, job)
    if stream == NULL:
        return DROP_SSRC_LIMIT
    if stream.rtcp.newest >= LAST_RTCP_INDEX:
        return DROP_KEY_EXPIRED
    lay_out(job, RTCP_FIXED if crypto.rtcp_encrypts else packet.length, tag)
    job.tag = packet.data + packet.length if aead else word + 4 + mki
    job.extra_octets = 4
    job.length = <uint16_t>(packet.length + 4 + mki + tag)
    store_be32(job.extra, <uint32_t>(stream.rtcp.newest + 1) | (ENCRYPTED if crypto.rtcp_encrypts else 0))
    if not job_aim(engine, crypto, job, stream.rtcp.newest + 1):
        return DROP_CIPHER
    replay_commit(&stream.rtcp, &engine.rings[2 * job.stream + 1], job.index)
    key_used(&engine.keys[job.key], job)
    stream.last_ns = packet.received_ns
    memcpy(word, job.extra, 4)
    memcpy(word + 4, engine.keys[job.key].mki, mki)
    return DROP_NONE

cdef inline void begin(Job *job, Crypto *crypto, Packet *packet, uint32_t ssrc, bint rtcp) noexcept nogil:
    job.drop = DROP_NONE
    job.packet, job.data = packet, packet.data
    job.crypto, job.key, job.ssrc, job.rtcp = packet.crypto, crypto.send_key, ssrc, rtcp

cdef inline void lay_out(Job *job, uint32_t clear, uint32_t tag) noexcept nogil:
    job.clear = clear
    job.body = job.packet.length - clear
    job.tag_octets = <uint8_t>tag

cdef inline Stream *stream_of(Engine *engine, Packet *packet, Job *job) noexcept nogil:
    job.stream = stream_find(engine, &engine.cryptos[job.crypto], job.ssrc)
    if job.stream == NO_SLOT:
        job.stream = stream_add(engine, job.crypto, job.ssrc, packet.received_ns)
    if job.stream == NO_SLOT:
        return NULL
    engine.lanes[job.crypto].stream, engine.lanes[job.crypto].ssrc = job.stream, job.ssrc
    return &engine.streams[job.stream]

cdef inline int64_t next_rtp(const Crypto *crypto, const Stream *stream, uint16_t sequence) noexcept nogil:
    """The sequence number is the source's own; the ROC is ours, from initial_roc on (RFC 3711 section 3.3.1). With the
    policy KEEP it goes on under a new key: `newest` is where the SSRC stood."""
    cdef int64_t index = -1
    if replay_started(&stream.rtp):
        return index_estimate(&stream.rtp, sequence)
    if crypto.parameters.flags & CRYPTO_ROC_KEEP and stream.rtp.newest:
        index = index_estimate(&stream.rtp, sequence)
    return index if index >= 0 else (<int64_t>crypto.parameters.initial_roc << 16) | sequence

cdef bint credible(const Crypto *crypto, Stream *stream, const Packet *packet, int64_t *index) noexcept nogil:
    """RFC 3550 appendix A.1 for a source that proves nothing: a jump needs two packets in a row, so that one with a
    forged address cannot push the index away from the real source. A source that has begun anew, behind the window,
    goes on with the next index that was never used: its numbers are shifted from then on, receivers see no gap."""
    cdef uint16_t said = load_be16(packet.data + 2)
    cdef int64_t gap = index[0] - <int64_t>stream.rtp.newest
    if not replay_started(&stream.rtp) or -<int64_t>crypto.parameters.window < gap <= MAX_DROPOUT:
        return True
    if stream.expected == 0 or said != stream.expected:
        stream.expected = <uint16_t>(said + 1)          # 0 after 65,535: one packet more is needed
        return False
    stream.expected = 0
    if gap < 0:
        index[0] = <int64_t>stream.rtp.newest + 1
        stream.shift = <uint16_t>(index[0] - said)
    return True

cdef void run(Engine *engine, Round *pending) noexcept nogil:
    cdef uint32_t i
    cdef Job *job
    if pending.count == 0:
        return
    engine.backend.seal(engine.backend_state, pending.order, pending.count)
    for i in range(pending.count):
        job = &pending.jobs[i]
        if rare(job.drop != DROP_NONE):
            spoilt(engine, job)
        else:
            job.packet.length = job.length
    pending.count = 0

cdef void spoilt(Engine *engine, Job *job) noexcept nogil:
    """Counted as sent before the back end failed."""
    engine.lanes[job.crypto].packets -= 1
    engine.lanes[job.crypto].octets -= job.length
    reject(&engine.cryptos[job.crypto], job.packet, job.drop)
