# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Key and stream slots: take, wipe, give back, adopt."""
from libc.errno cimport EIO
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernels.clib.openssl cimport CRYPTO_memcmp, OPENSSL_cleanse
from kernels.srtp.context cimport CIPHER_AES_F8, CIPHER_AES_GCM, CRYPTO_PLAIN_RTP, CRYPTO_SEND, CryptoParameters
from kernels.srtp.index cimport replay_close, replay_started
from kernels.srtp.kdf cimport DERIVE_ONCE, derive
from kernels.srtp.lane cimport credit_return
from kernels.srtp.lookup cimport epoch_of, set_find
from kernels.srtp.tables cimport (
    CRYPTO_FREE, CRYPTO_READY, CRYPTO_SUSPENDED, LANE_CLOSED, LANE_OPEN, LANE_SEAL, Lane, Ring,
    SETS, SET_RTCP, SET_RTP, Stream, backend_slot,
)
from kernels.wire.atomics cimport store_release_u32
from kernels.wire.packet cimport BATCH, NO_SLOT

cdef enum:
    RTCP_INDEX_MASK = 0x7FFFFFFF


# --- keys ------------------------------------------------------------------------------------------------------

cdef uint32_t key_add(Engine *engine, uint32_t crypto, const MasterKey *master) noexcept nogil:
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot = engine.free_key
    cdef KeySlot *key
    if slot == NO_SLOT:
        return NO_SLOT
    key = &engine.keys[slot]
    engine.free_key = key.next
    memset(key, 0, sizeof(KeySlot))
    memcpy(key.key, master.key, owner.parameters.key_octets)
    memcpy(key.salt, master.salt, owner.parameters.salt_octets)
    memcpy(key.mki, master.mki, owner.parameters.mki_octets)
    key_limit(key, master)
    key.next = NO_SLOT
    store_release_u32(&key.owner, crypto + 1)
    if not key_refresh(engine, owner, slot):
        key_release(engine, slot)
        return NO_SLOT
    key.next = owner.first_key
    owner.first_key = slot
    return slot

cdef void key_limit(KeySlot *key, const MasterKey *master) noexcept nogil:
    key.rtp_lifetime = lifetime(master.rtp_lifetime, <uint64_t>1 << 48)
    key.rtcp_lifetime = lifetime(master.rtcp_lifetime, <uint64_t>1 << 31)

cdef uint64_t lifetime(uint64_t wanted, uint64_t most) noexcept nogil:
    return wanted if 0 < wanted < most else most

cdef bint key_refresh(Engine *engine, const Crypto *owner, uint32_t slot) noexcept nogil:
    """First epochs of both protocols; with a derivation rate also the next ones, so that the packet path finds the
    back end's memory already there."""
    cdef KeySlot *key = &engine.keys[slot]
    cdef uint64_t first = epoch_of(owner, <uint64_t>owner.parameters.initial_roc << 16)
    cdef uint32_t which
    for which in range(SETS):
        engine.backend.forget(engine.backend_state, backend_slot(engine, slot, which))
    OPENSSL_cleanse(key.sets, sizeof(key.sets))
    key.current[0] = key.current[1] = 1             # so that the first epochs get the first set of the pairs
    if set_derive(engine, owner, slot, False, first) < 0 or set_derive(engine, owner, slot, True, 0) < 0:
        return False
    if owner.parameters.kdr_log2 == DERIVE_ONCE:
        return True
    key.current[0] ^= 1
    key.current[1] ^= 1
    return (set_derive(engine, owner, slot, False, first + 1) >= 0
            and set_derive(engine, owner, slot, True, 1) >= 0)

cdef int set_derive(Engine *engine, const Crypto *crypto, uint32_t slot, bint rtcp, uint64_t epoch) noexcept nogil:
    cdef KeySlot *key = &engine.keys[slot]
    cdef uint32_t which = (SET_RTCP if rtcp else SET_RTP) + (key.current[rtcp] ^ 1)
    if not derive(engine.deriver, &crypto.parameters, key.key, key.salt, rtcp, epoch, &key.sets[which]):
        return -1
    if engine.backend.prepare(engine.backend_state, backend_slot(engine, slot, which), &key.sets[which],
                              crypto.parameters.flags & CRYPTO_SEND) != 0:
        key.sets[which].ready = 0
        return -1
    return <int>which

cdef bint key_same(const Engine *engine, const Crypto *crypto, uint32_t slot, const MasterKey *master) noexcept nogil:
    """Same key and salt (constant time)."""
    cdef const KeySlot *key = &engine.keys[slot]
    cdef int differs = CRYPTO_memcmp(key.key, master.key, crypto.parameters.key_octets)
    differs |= CRYPTO_memcmp(key.salt, master.salt, crypto.parameters.salt_octets)
    return differs == 0

cdef void key_release(Engine *engine, uint32_t slot) noexcept nogil:
    """Wipe arena and back end. It stops belonging to anybody first: a half wiped key must never be adopted."""
    cdef KeySlot *key = &engine.keys[slot]
    cdef uint32_t which
    store_release_u32(&key.owner, 0)
    for which in range(SETS):
        engine.backend.forget(engine.backend_state, backend_slot(engine, slot, which))
    OPENSSL_cleanse(key, sizeof(KeySlot))
    key.next = engine.free_key
    engine.free_key = slot

cdef void key_drop(Engine *engine, uint32_t crypto, uint32_t slot) noexcept nogil:
    """One key of a crypto's chain."""
    cdef uint32_t *link = &engine.cryptos[crypto].first_key
    while link[0] != NO_SLOT:
        if link[0] == slot:
            link[0] = engine.keys[slot].next
            key_release(engine, slot)
            return
        link = &engine.keys[link[0]].next

cdef void keys_release(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot = owner.first_key, following
    owner.first_key = NO_SLOT
    owner.send_key = NO_SLOT
    while slot != NO_SLOT:
        following = engine.keys[slot].next
        key_release(engine, slot)
        slot = following


# --- the lane --------------------------------------------------------------------------------------------------

cdef void lane_clear(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Lane *lane = &engine.lanes[crypto]
    lane.kind = LANE_CLOSED
    credit_return(engine, crypto)
    OPENSSL_cleanse(lane.salt, sizeof(lane.salt))
    lane.key = 0

cdef void lane_set(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef Lane *lane = &engine.lanes[crypto]
    cdef const CryptoParameters *p = &owner.parameters
    cdef uint32_t key = owner.send_key if p.flags & CRYPTO_SEND else owner.first_key
    lane_clear(engine, crypto)
    lane.stream = owner.first_stream
    lane.ssrc = engine.streams[lane.stream].ssrc if lane.stream != NO_SLOT else 0
    lane.tag, lane.aead = owner.rtp_tag, p.cipher == CIPHER_AES_GCM
    if (owner.state != CRYPTO_READY or p.mki_octets or p.kdr_log2 != DERIVE_ONCE or p.cipher == CIPHER_AES_F8
            or p.flags & CRYPTO_PLAIN_RTP or key == NO_SLOT):
        return
    if set_find(&engine.keys[key], False, 0) != SET_RTP:
        return
    lane.key = key
    memcpy(lane.salt, engine.keys[key].sets[<int>SET_RTP].salt, sizeof(lane.salt))
    lane.kind = LANE_SEAL if p.flags & CRYPTO_SEND else LANE_OPEN


# --- streams ---------------------------------------------------------------------------------------------------

cdef uint32_t stream_add(Engine *engine, uint32_t crypto, uint32_t ssrc, uint64_t now_ns) noexcept nogil:
    """A slot for an SSRC: of an authentic packet when receiving, of our own packet when sending.

    At the limit a receive stream that was silent for SILENT_S makes room. Forgetting one forgets its replay window,
    so it takes an authentic newcomer plus a minute of silence; nothing forged can bring it about. A send stream is
    never evicted: its SSRC could come back and use its indices again (RFC 3711 section 9.1); re-keying frees it.
    What is only known from the key before goes first (streams_rekey).
    A slot is kept for every crypto that has none yet: no source can take away the first SSRC of other calls.
    """
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot
    cdef Stream *stream
    if owner.streams >= owner.parameters.ssrc_limit or owner.streams and not spare_stream(engine):
        if not evict_unheard(engine, crypto) and (
                owner.parameters.flags & CRYPTO_SEND or not evict_silent(engine, crypto, now_ns)):
            return NO_SLOT
    slot = engine.free_stream
    if slot == NO_SLOT:
        return NO_SLOT
    stream = &engine.streams[slot]
    engine.free_stream = stream.next
    engine.streams_free -= 1
    engine.cryptos_served += owner.streams == 0
    memset(stream, 0, sizeof(Stream))
    memset(&engine.rings[2 * slot], 0, 2 * sizeof(Ring))
    stream.ssrc = ssrc
    stream.last_ns = now_ns
    if owner.parameters.flags & CRYPTO_SEND:
        stream.rtcp.newest = owner.rtcp_floor if owner.rtcp_floor < RTCP_INDEX_MASK else 0
    stream.next = owner.first_stream
    store_release_u32(&stream.owner, crypto + 1)
    owner.first_stream = slot
    owner.streams += 1
    return slot

cdef inline bint spare_stream(const Engine *engine) noexcept nogil:
    return engine.streams_free > engine.header.cryptos - engine.cryptos_served

cdef bint evict_silent(Engine *engine, uint32_t crypto, uint64_t now_ns) noexcept nogil:
    """Free the stream of a receive crypto that has been silent longest, when that is long enough."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t *link = &owner.first_stream
    cdef uint32_t *oldest = NULL
    while link[0] != NO_SLOT:
        if oldest == NULL or engine.streams[link[0]].last_ns < engine.streams[oldest[0]].last_ns:
            oldest = link
        link = &engine.streams[link[0]].next
    if oldest == NULL or now_ns < engine.streams[oldest[0]].last_ns + <uint64_t>SILENT_S * 1000000000:
        return False
    stream_unlink(engine, crypto, oldest)
    return True

cdef bint evict_unheard(Engine *engine, uint32_t crypto) noexcept nogil:
    """Free a stream of which is known only where it stood under the key before; a sender's SRTCP index is kept as the
    floor."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef bint sends = owner.parameters.flags & CRYPTO_SEND
    cdef uint32_t *link = &owner.first_stream
    cdef const Stream *stream
    while link[0] != NO_SLOT:
        stream = &engine.streams[link[0]]
        if stream.rtp.newest and not replay_started(&stream.rtp) and (sends or not replay_started(&stream.rtcp)):
            if sends and stream.rtcp.newest > owner.rtcp_floor:
                owner.rtcp_floor = <uint32_t>stream.rtcp.newest & RTCP_INDEX_MASK
            stream_unlink(engine, crypto, link)
            return True
        link = &engine.streams[link[0]].next
    return False

cdef void stream_unlink(Engine *engine, uint32_t crypto, uint32_t *link) noexcept nogil:
    """Out of the crypto's chain, where `link` names it, and free."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot = link[0]
    link[0] = engine.streams[slot].next
    if engine.lanes[crypto].stream == slot:
        engine.lanes[crypto].stream = NO_SLOT
    owner.streams -= 1
    engine.cryptos_served -= owner.streams == 0
    stream_release(engine, slot)

cdef void stream_release(Engine *engine, uint32_t slot) noexcept nogil:
    cdef Stream *stream = &engine.streams[slot]
    store_release_u32(&stream.owner, 0)
    memset(stream, 0, sizeof(Stream))
    memset(&engine.rings[2 * slot], 0, 2 * sizeof(Ring))
    stream.next = engine.free_stream
    engine.free_stream = slot
    engine.streams_free += 1

cdef void streams_release(Engine *engine, uint32_t crypto) noexcept nogil:
    """All of them; what SRTCP indices a sender has used is kept as the floor of the next ones."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot = owner.first_stream, following
    while slot != NO_SLOT:
        if engine.streams[slot].rtcp.newest > owner.rtcp_floor and owner.parameters.flags & CRYPTO_SEND:
            owner.rtcp_floor = <uint32_t>engine.streams[slot].rtcp.newest & RTCP_INDEX_MASK
        slot = engine.streams[slot].next
    slot = owner.first_stream
    owner.first_stream = engine.lanes[crypto].stream = NO_SLOT
    engine.cryptos_served -= owner.streams > 0
    owner.streams = 0
    while slot != NO_SLOT:
        following = engine.streams[slot].next
        stream_release(engine, slot)
        slot = following


cdef void streams_rekey(Engine *engine, uint32_t crypto) noexcept nogil:
    """The key has changed and the crypto goes on: of every SSRC that used the old one, where it stood is kept, with no
    packet accepted yet. A sender's SRTCP index goes on as it is (RFC 3711 section 3.4)."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef bint sends = owner.parameters.flags & CRYPTO_SEND
    cdef uint32_t *link = &owner.first_stream
    cdef uint32_t slot, before = owner.streams
    cdef Stream *stream
    while link[0] != NO_SLOT:
        slot = link[0]
        stream = &engine.streams[slot]
        if sends and stream.rtcp.newest > owner.rtcp_floor:
            owner.rtcp_floor = <uint32_t>stream.rtcp.newest & RTCP_INDEX_MASK
        if replay_started(&stream.rtp):
            stream.rtp.recent = 0
            if not sends:
                stream.rtcp.newest = stream.rtcp.recent = 0
            link = &stream.next
        else:                                           # silent under the old key: nothing to go on from
            link[0] = stream.next
            owner.streams -= 1
            stream_release(engine, slot)
    engine.cryptos_served -= before > 0 and owner.streams == 0
    engine.lanes[crypto].stream = NO_SLOT


# --- adoption --------------------------------------------------------------------------------------------------

cdef int pools_adopt(Engine *engine) noexcept nogil:
    cdef uint32_t slot
    cdef int error = 0
    for slot in range(engine.header.cryptos):
        adopt_crypto(engine, slot)
    engine.free_key = NO_SLOT
    engine.free_stream = NO_SLOT
    engine.streams_free = engine.cryptos_served = 0
    for slot in range(engine.header.keys):
        error = adopt_key(engine, engine.header.keys - 1 - slot) or error
    for slot in range(engine.header.streams):
        adopt_stream(engine, engine.header.streams - 1 - slot)
    for slot in range(engine.header.cryptos):
        settle_crypto(engine, &engine.cryptos[slot])
        lane_set(engine, slot)
    return error

cdef void adopt_crypto(Engine *engine, uint32_t slot) noexcept nogil:
    """A command that did not finish leaves an odd generation: no traffic until somebody installs it again. The credit
    is forfeit: whether the key's count or the credit was stored last is not known."""
    cdef Crypto *crypto = &engine.cryptos[slot]
    engine.lanes[slot].credit = 0
    if crypto.generation & 1:
        crypto.generation += 1
        crypto.state = CRYPTO_SUSPENDED if crypto.state != CRYPTO_FREE else CRYPTO_FREE
    crypto.first_key = NO_SLOT
    crypto.first_stream = NO_SLOT
    crypto.streams = 0

cdef bint owned(const Engine *engine, uint32_t owner) noexcept nogil:
    return 0 < owner <= engine.header.cryptos and engine.cryptos[owner - 1].state != CRYPTO_FREE

cdef int adopt_key(Engine *engine, uint32_t slot) noexcept nogil:
    cdef KeySlot *key = &engine.keys[slot]
    cdef Crypto *owner
    cdef uint32_t which
    if not owned(engine, key.owner):
        key_release(engine, slot)
        return 0
    owner = &engine.cryptos[key.owner - 1]
    key.next = owner.first_key
    owner.first_key = slot
    for which in range(SETS):
        if key.sets[which].ready and engine.backend.prepare(
                engine.backend_state, backend_slot(engine, slot, which), &key.sets[which],
                owner.parameters.flags & CRYPTO_SEND) != 0:
            key.sets[which].ready = 0
            return -EIO
    return 0

cdef void adopt_stream(Engine *engine, uint32_t slot) noexcept nogil:
    cdef Stream *stream = &engine.streams[slot]
    cdef Crypto *owner
    if not owned(engine, stream.owner):
        stream_release(engine, slot)
        return
    owner = &engine.cryptos[stream.owner - 1]
    stream.next = owner.first_stream
    owner.first_stream = slot
    engine.cryptos_served += owner.streams == 0
    owner.streams += 1
    if owner.parameters.flags & CRYPTO_SEND and replay_started(&stream.rtcp):
        stream.rtcp.newest += BATCH         # every index was stored before use; jump all the same
        if stream.rtcp.newest > RTCP_INDEX_MASK:
            stream.rtcp.newest = RTCP_INDEX_MASK
    replay_close(&stream.rtp, &engine.rings[2 * slot])
    replay_close(&stream.rtcp, &engine.rings[2 * slot + 1])

cdef void settle_crypto(Engine *engine, Crypto *crypto) noexcept nogil:
    """A sending key that did not survive leaves nothing to send with: wait for a new installation. Its number must not
    stay: the slot may become another crypto's."""
    cdef uint32_t slot = crypto.first_key
    while slot != NO_SLOT and slot != crypto.send_key:
        slot = engine.keys[slot].next
    if slot == NO_SLOT:
        crypto.send_key = NO_SLOT
        if crypto.state == CRYPTO_READY:
            crypto.state = CRYPTO_SUSPENDED
