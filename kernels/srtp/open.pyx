# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Receiving: SRTP to RTP, SRTCP to RTCP, in place. Nothing is believed before its tag verifies.

    1. crypto, trailer and header fit        DROP_NOT_KEYED, DROP_TOO_SHORT, DROP_MALFORMED
    2. master key by MKI, still alive        DROP_UNKNOWN_MKI, DROP_KEY_EXPIRED
    3. index estimated, replay asked         DROP_REPLAY, DROP_REPLAY_OLD           (reads only)
    4. back end: verify, decrypt             DROP_AUTH_FAIL
    5. E bit, replay asked again, committed  DROP_ENCRYPTION_FLAG, DROP_REPLAY, DROP_SSRC_LIMIT

The common packet takes the short way of lane.pxd from 1 to 3 and through 5; the numbers and the verdicts are these.
Jobs of a round do not depend on each other's outcome. What does (first packet of an SSRC, a jump of a quarter turn
or more, a key derivation rate, a resync) is taken alone, at its place in the order. So is what this context does not
take: further contexts of the leg are asked (CryptoParameters.also).
"""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from kernels.cipher.job cimport Job
from kernels.clib.expect cimport rare
from kernels.srtp.context cimport (
    CIPHER_AES_GCM, CIPHER_NULL, CRYPTO_PLAIN_RTP, CRYPTO_ROC_KEEP, CRYPTO_ROC_RESET, CRYPTO_SEND,
)
from kernels.srtp.index cimport ROLLOVER, index_estimate, replay_check, replay_commit, replay_started
from kernels.srtp.job cimport ENCRYPTED, Round, job_aim, key_used, reject, round_of
from kernels.srtp.kdf cimport DERIVE_ONCE
from kernels.srtp.lane cimport (
    QUARTER, Found, credit_return, fetch_begin, fetch_next, lane_commit, lane_fill, lane_find,
)
from kernels.srtp.lookup cimport also_of, crypto_find, key_expired, key_find, stream_find
from kernels.srtp.pool cimport stream_add
from kernels.srtp.tables cimport MOST_ALSO, Crypto, Lane, Stream, Window
from kernels.wire.octets cimport load_be16, load_be32, store_be32
from kernels.wire.packet cimport (
    BATCH, DROP_AUTH_FAIL, DROP_CIPHER, DROP_ENCRYPTION_FLAG, DROP_KEY_EXPIRED, DROP_MALFORMED, DROP_NONE,
    DROP_NOT_KEYED, DROP_SSRC_LIMIT, DROP_TOO_LONG, DROP_TOO_SHORT, DROP_UNKNOWN_MKI, FRAME, KIND_RTCP, KIND_RTP,
    NO_SLOT,
)
from kernels.wire.rtp cimport RTCP_FIXED, RTP_FIXED, rtcp_ssrc, rtp_header_octets, rtp_ssrc

cdef enum:
    TRIALS = 64                 # rejected packets in a row that each get a resync trial; then one in TRIAL_EVERY
    TRIAL_EVERY = 16
    RESET_SILENT_MS = 200       # before a stream may begin again under the same key (CRYPTO_ROC_RESET)


cdef void open_(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    cdef Round *pending = round_of(engine)
    cdef uint32_t i
    fetch_begin(engine, packets, count)
    for i in range(count):
        fetch_next(engine, packets, i, count)
        if rare(not open_lane(engine, pending, packets[i])):
            open_one(engine, pending, packets[i])
        if rare(pending.count == BATCH):
            run(engine, pending)
    run(engine, pending)

cdef inline bint open_lane(Engine *engine, Round *pending, Packet *packet) noexcept nogil:
    """header || payload || tag of the common case; anything else is open_one's."""
    cdef Lane *lane
    cdef Job *job
    cdef Found found
    cdef uint32_t octets
    if rare(packet.drop != DROP_NONE or packet.kind != KIND_RTP or packet.crypto >= engine.header.cryptos):
        return False
    lane = &engine.lanes[packet.crypto]
    if rare(lane.kind != engine.lane_open or packet.length < lane.tag):
        return False
    octets = packet.length - lane.tag
    if rare(not lane_find(engine, lane, packet, octets, &found)):
        return False
    job = &pending.jobs[pending.count]
    lane_fill(engine, lane, packet, octets, &found, job)
    job.length = <uint16_t>octets
    job.index, job.stream, job.ssrc = found.index, found.stream, found.ssrc
    pending.fast[pending.count] = 1
    pending.count += 1
    return True

cdef void open_one(Engine *engine, Round *pending, Packet *packet) noexcept nogil:
    """Queue the packet for the round, or settle it."""
    cdef Crypto *crypto
    cdef Job *job = &pending.jobs[pending.count]
    cdef int64_t index
    cdef uint32_t drop
    if packet.drop != DROP_NONE or packet.crypto == NO_SLOT or packet.kind not in (KIND_RTP, KIND_RTCP):
        return
    crypto = crypto_find(engine, packet.crypto)
    if crypto == NULL or crypto.parameters.flags & CRYPTO_SEND:
        packet.drop = DROP_NOT_KEYED
        return
    credit_return(engine, packet.crypto)
    drop = locate(engine, packet.crypto, packet, job)
    if drop != DROP_NONE:
        if not elsewhere(engine, packet, drop):
            reject(crypto, packet, drop)
        return
    if job.stream == NO_SLOT or crypto.parameters.kdr_log2 != DERIVE_ONCE:
        open_alone(engine, packet, -1)
        return
    index = estimate(engine, crypto, job)
    drop = freshness(engine, crypto, job, index)
    if stands_apart(engine, job, index) or (drop != DROP_NONE and trial_due(&engine.lanes[job.crypto], job)):
        run(engine, pending)
        open_alone(engine, packet, -1)
    elif drop != DROP_NONE:
        refuse(engine, packet, drop)
    elif not job_aim(engine, crypto, job, <uint64_t>index):
        reject(crypto, packet, DROP_CIPHER)
    else:
        pending.fast[pending.count] = 0
        pending.count += 1

cdef void run(Engine *engine, Round *pending) noexcept nogil:
    """Verify and decrypt the round, then commit in order of arrival."""
    cdef Lane *lane
    cdef uint32_t i
    cdef Job *job
    if pending.count == 0:
        return
    engine.backend.open(engine.backend_state, pending.order, pending.count)
    for i in range(pending.count):
        job = &pending.jobs[i]
        lane = &engine.lanes[job.crypto]
        if rare(job.drop != DROP_NONE):
            failed(engine, job, pending.fast[i] or not job.rtcp)
        elif rare(not pending.fast[i] or not lane_commit(engine, lane, job)):
            accept(engine, &engine.cryptos[job.crypto], job)
        else:
            lane.failures = 0
            job.packet.length = job.length
    pending.count = 0

cdef void failed(Engine *engine, Job *job, bint rtp) noexcept nogil:
    if job.drop == DROP_AUTH_FAIL and rtp:
        open_alone(engine, job.packet, <int64_t>job.index)
    else:
        refuse(engine, job.packet, job.drop)

cdef void open_alone(Engine *engine, Packet *packet, int64_t tried) noexcept nogil:
    """Settle one packet against the state as it is now. `tried`: index that failed already."""
    cdef Job job
    cdef uint32_t drop
    credit_return(engine, packet.crypto)
    drop = verify(engine, packet.crypto, packet, tried, &job)
    if drop == DROP_NONE:
        accept(engine, &engine.cryptos[packet.crypto], &job)
    else:
        refuse(engine, packet, drop)

cdef void refuse(Engine *engine, Packet *packet, uint32_t drop) noexcept nogil:
    """The flow's own context does not take the packet, for this reason."""
    if not elsewhere(engine, packet, drop):
        engine.lanes[packet.crypto].failures += 1
        reject(&engine.cryptos[packet.crypto], packet, drop)

cdef bint elsewhere(Engine *engine, Packet *packet, uint32_t drop) noexcept nogil:
    """Whether another context of the same leg knows the packet (C13, SDES-19, SDES-21: keys before a re-key, keys that
    were offered). It is that one's then, and nothing of ours changes. Only one that authenticates may say so, and what
    none of them knows costs each of them as much as a resync trial, within a budget of its own."""
    cdef uint32_t slot = packet.crypto, _hop
    cdef Lane *lane
    cdef Job job
    if engine.cryptos[slot].parameters.also == 0 or drop == DROP_CIPHER or drop == DROP_TOO_LONG:
        return False
    for _hop in range(MOST_ALSO):
        slot = also_of(engine, slot)
        if slot == NO_SLOT:
            return False
        lane = &engine.lanes[slot]
        if authenticates(&engine.cryptos[slot], packet) and budgeted(lane):
            credit_return(engine, slot)
            if verify(engine, slot, packet, -1, &job) == DROP_NONE:
                accept(engine, &engine.cryptos[slot], &job)
                return True
        lane.failures += 1
    return False

cdef uint32_t verify(Engine *engine, uint32_t slot, Packet *packet, int64_t tried, Job *job) noexcept nogil:
    """Authenticate and decrypt under one context: at the estimated index, then, within the budget, at the others that
    the sender may be at. DROP_NONE: `job` is to be accepted."""
    cdef Crypto *crypto = &engine.cryptos[slot]
    cdef uint32_t drop = locate(engine, slot, packet, job)
    cdef int64_t index
    if drop != DROP_NONE:
        return drop
    index = estimate(engine, crypto, job)
    drop = freshness(engine, crypto, job, index)
    if drop == DROP_NONE:
        drop = DROP_AUTH_FAIL
        if index != tried:
            drop = attempt(engine, crypto, job, index)
    if drop != DROP_NONE and drop != DROP_CIPHER and trial_due(&engine.lanes[slot], job):
        if resync(engine, crypto, job, index):
            crypto.resyncs += 1
            return DROP_NONE
    return drop

cdef bint resync(Engine *engine, Crypto *crypto, Job *job, int64_t index) noexcept nogil:
    """Other rollover counters, authentication deciding: one turn further (row A14: a gap of more than 2^15; row B2: the
    wrap was lost at the start). Before the first packet under a key also where the SSRC stood under another key of this
    leg, and beside it (C13, peers #9: ROC kept or reset on re-INVITE, we cannot know)."""
    cdef uint16_t flags = crypto.parameters.flags
    cdef int64_t stood
    if trial(engine, crypto, job, index + ROLLOVER):
        return True
    if job.stream != NO_SLOT and replay_started(&engine.streams[job.stream].rtp):
        return flags & CRYPTO_ROC_RESET and begun_again(engine, crypto, job)
    if flags & (CRYPTO_ROC_RESET | CRYPTO_ROC_KEEP):
        return False
    stood = stood_at(engine, job)
    if stood < 0:
        return False
    return ((stood > index + ROLLOVER and trial(engine, crypto, job, stood))
            or (stood + ROLLOVER > index + ROLLOVER and trial(engine, crypto, job, stood + ROLLOVER))
            or (stood - ROLLOVER > index + ROLLOVER and trial(engine, crypto, job, stood - ROLLOVER)))

cdef bint trial(Engine *engine, Crypto *crypto, Job *job, int64_t index) noexcept nogil:
    if index < 0 or index >> 48 != 0 or freshness(engine, crypto, job, index) != DROP_NONE:
        return False
    return attempt(engine, crypto, job, index) == DROP_NONE

cdef bint begun_again(Engine *engine, Crypto *crypto, Job *job) noexcept nogil:
    """A peer that went back to its first ROC under the same key: a two-time pad of its own making (RFC 3711 section
    9.1), and to us the same as somebody who plays a recording. Only for a trunk whose policy is RESET, and only once
    the SSRC as we know it has been silent: a recording cannot push a running stream aside."""
    cdef Stream *stream = &engine.streams[job.stream]
    cdef int64_t index = (<int64_t>crypto.parameters.initial_roc << 16) | load_be16(job.data + 2)
    if (stream.rtp.newest >> 16 <= crypto.parameters.initial_roc
            or job.packet.received_ns < stream.last_ns + <uint64_t>RESET_SILENT_MS * 1000000):
        return False
    if attempt(engine, crypto, job, index) != DROP_NONE:
        return False
    stream.rtp.newest = stream.rtp.recent = 0           # it is authentic: the window begins with it
    return True

cdef uint32_t attempt(Engine *engine, Crypto *crypto, Job *job, int64_t index) noexcept nogil:
    cdef Job *jobs = job
    if not job_aim(engine, crypto, job, <uint64_t>index):
        return DROP_CIPHER
    engine.backend.open(engine.backend_state, &jobs, 1)
    return job.drop

cdef void accept(Engine *engine, Crypto *crypto, Job *job) noexcept nogil:
    """The packet is authentic: here (and in lane_commit) alone receiving changes state."""
    cdef Packet *packet = job.packet
    cdef Lane *lane = &engine.lanes[job.crypto]
    cdef Stream *stream
    cdef uint32_t drop = DROP_NONE
    credit_return(engine, job.crypto)
    if key_expired(&engine.keys[job.key]):              # used up by its neighbours in this very round
        reject(crypto, packet, DROP_KEY_EXPIRED)
        return
    if job.wrong_flag:
        reject(crypto, packet, DROP_ENCRYPTION_FLAG)
        return
    if job.stream != NO_SLOT and (engine.streams[job.stream].owner != job.crypto + 1
                                  or engine.streams[job.stream].ssrc != job.ssrc):
        job.stream = NO_SLOT                            # made room for a newcomer in this very round
        drop = DROP_SSRC_LIMIT
    else:
        drop = freshness(engine, crypto, job, <int64_t>job.index)
    if drop == DROP_NONE and job.stream == NO_SLOT:
        job.stream = stream_add(engine, job.crypto, job.ssrc, packet.received_ns)
        drop = DROP_SSRC_LIMIT if job.stream == NO_SLOT else DROP_NONE
    if drop != DROP_NONE:
        reject(crypto, packet, drop)
        return
    stream = &engine.streams[job.stream]
    replay_commit(&stream.rtcp if job.rtcp else &stream.rtp, &engine.rings[2 * job.stream + job.rtcp], job.index)
    key_used(&engine.keys[job.key], job)
    stream.packets += 1
    stream.last_ns = packet.received_ns
    lane.stream, lane.ssrc = job.stream, job.ssrc
    lane.failures = 0
    lane.packets += 1
    lane.octets += packet.length
    packet.length = job.length


# --- index: reads only -----------------------------------------------------------------------------------------

cdef inline const Window *window_of(Engine *engine, Job *job) noexcept nogil:
    return &engine.streams[job.stream].rtcp if job.rtcp else &engine.streams[job.stream].rtp

cdef inline int64_t estimate(Engine *engine, Crypto *crypto, Job *job) noexcept nogil:
    """SRTCP says its index; an SRTP stream that has not started begins at initial_roc."""
    if job.rtcp:
        return <int64_t>job.index
    if job.stream == NO_SLOT or not replay_started(&engine.streams[job.stream].rtp):
        return first_index(engine, crypto, job)
    return index_estimate(&engine.streams[job.stream].rtp, load_be16(job.data + 2))

cdef int64_t first_index(Engine *engine, Crypto *crypto, Job *job) noexcept nogil:
    """Of an SSRC under this key: at initial_roc, or where it stood if its ROC goes on."""
    cdef int64_t stood = -1
    if crypto.parameters.flags & CRYPTO_ROC_KEEP:
        stood = stood_at(engine, job)
    return stood if stood >= 0 else (<int64_t>crypto.parameters.initial_roc << 16) | load_be16(job.data + 2)

cdef int64_t stood_at(Engine *engine, Job *job) noexcept nogil:
    """The index nearest to where the SSRC stands under another key of this leg: that of a context beside this one, else
    the one that this context had before. -1: not known."""
    cdef uint32_t slot = job.packet.crypto, stream, _hop
    cdef uint16_t sequence = load_be16(job.data + 2)
    for _hop in range(MOST_ALSO + 1):
        if slot == NO_SLOT:
            break
        stream = stream_find(engine, &engine.cryptos[slot], job.ssrc) if slot != job.crypto else <uint32_t>NO_SLOT
        if stream != NO_SLOT and replay_started(&engine.streams[stream].rtp):
            return index_estimate(&engine.streams[stream].rtp, sequence)
        slot = also_of(engine, slot)
    if job.stream == NO_SLOT or engine.streams[job.stream].rtp.newest == 0:
        return -1
    return index_estimate(&engine.streams[job.stream].rtp, sequence)

cdef inline uint32_t freshness(Engine *engine, Crypto *crypto, Job *job, int64_t index) noexcept nogil:
    if job.stream == NO_SLOT:
        return DROP_NONE
    return replay_check(window_of(engine, job), &engine.rings[2 * job.stream + job.rtcp], index,
                        crypto.parameters.window)

cdef inline bint stands_apart(Engine *engine, Job *job, int64_t index) noexcept nogil:
    """Whether packets still under way could change what this index is taken for."""
    cdef const Window *window = window_of(engine, job)
    cdef int64_t gap = index - <int64_t>window.newest
    return not job.rtcp and (not replay_started(window) or gap > QUARTER or gap < -QUARTER)

cdef inline bint trial_due(const Lane *lane, const Job *job) noexcept nogil:
    """A resync trial costs one more verification, so a flood of forgeries gets only so many; without a tag every
    trial would succeed."""
    if job.rtcp or job.tag_octets == 0:
        return False
    return budgeted(lane)

cdef inline bint budgeted(const Lane *lane) noexcept nogil:
    return lane.failures < TRIALS or lane.failures % TRIAL_EVERY == 0

cdef inline bint authenticates(const Crypto *crypto, const Packet *packet) noexcept nogil:
    return (crypto.parameters.rtcp_tag if packet.kind == KIND_RTCP else crypto.rtp_tag) != 0


# --- layout ----------------------------------------------------------------------------------------------------

cdef uint32_t locate(Engine *engine, uint32_t slot, Packet *packet, Job *job) noexcept nogil:
    """Find every part of the packet by the length of the datagram, its master key and its stream."""
    cdef Crypto *crypto = &engine.cryptos[slot]
    cdef uint32_t drop
    job.drop = DROP_NONE
    job.packet, job.data, job.crypto = packet, packet.data, slot
    job.wrong_flag = 0
    if packet.length > FRAME:
        return DROP_TOO_LONG
    if packet.kind == KIND_RTCP:
        drop = locate_rtcp(engine, crypto, packet, job)
    else:
        drop = locate_rtp(engine, crypto, packet, job)
    if drop != DROP_NONE:
        return drop
    if job.key == NO_SLOT:
        return DROP_UNKNOWN_MKI
    if key_expired(&engine.keys[job.key]):
        return DROP_KEY_EXPIRED
    job.stream = stream_find(engine, crypto, job.ssrc)
    return DROP_NONE

cdef uint32_t locate_rtp(Engine *engine, Crypto *crypto, Packet *packet, Job *job) noexcept nogil:
    """header || body || MKI || tag; AEAD: header || body || tag || MKI (RFC 7714 section 8.2)."""
    cdef uint32_t tag = crypto.rtp_tag, mki = crypto.parameters.mki_octets, octets
    cdef bint aead = crypto.parameters.cipher == CIPHER_AES_GCM
    cdef int32_t header
    if packet.length < RTP_FIXED + tag + mki:
        return DROP_TOO_SHORT
    octets = packet.length - tag - mki
    header = rtp_header_octets(packet.data, octets)
    if header < 0:
        return <uint32_t>-header
    job.rtcp = 0
    job.ssrc = rtp_ssrc(packet.data)
    job.clear = octets if crypto.parameters.flags & CRYPTO_PLAIN_RTP else <uint32_t>header
    job.body = octets - job.clear
    job.length = <uint16_t>octets
    job.tag = packet.data + octets + (0 if aead else mki)
    job.tag_octets = <uint8_t>tag
    job.extra_octets = 0 if aead else 4
    job.key = key_find(engine, crypto, packet.data + octets + (tag if aead else 0))
    return DROP_NONE

cdef uint32_t locate_rtcp(Engine *engine, Crypto *crypto, Packet *packet, Job *job) noexcept nogil:
    """header || body || E,index || MKI || tag; AEAD: header || body || tag || E,index || MKI (RFC 7714 section 9.2).

    The packet is taken as its own E bit says and judged by that once it is authentic.
    """
    cdef uint32_t tag = crypto.parameters.rtcp_tag, mki = crypto.parameters.mki_octets, octets, word
    cdef bint aead = crypto.parameters.cipher == CIPHER_AES_GCM
    cdef uint8_t *end
    if packet.length < RTCP_FIXED + 4 + tag + mki:
        return DROP_TOO_SHORT
    if packet.data[0] >> 6 != 2:
        return DROP_MALFORMED
    octets = packet.length - 4 - tag - mki
    end = packet.data + octets + (tag if aead else 0)
    word = load_be32(end)
    job.rtcp = 1
    job.ssrc = rtcp_ssrc(packet.data)
    job.index = word & ~<uint32_t>ENCRYPTED
    job.wrong_flag = crypto.parameters.cipher != CIPHER_NULL and (word & ENCRYPTED != 0) != crypto.rtcp_encrypts
    store_be32(job.extra, word)
    job.extra_octets = 4
    job.clear = RTCP_FIXED if word & ENCRYPTED else octets
    job.body = octets - job.clear
    job.length = <uint16_t>octets
    job.tag = packet.data + octets if aead else end + 4 + mki
    job.tag_octets = <uint8_t>tag
    job.key = key_find(engine, crypto, end + 4)
    return DROP_NONE
