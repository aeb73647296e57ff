# cython: language_level=3, boundscheck=False, wraparound=False
"""Commands on one crypto: idempotent, and safe to die in.

While a command writes, Crypto.generation is odd; an owner that adopts such a slot suspends it until it is installed
again. Keys go before streams: a key that could still protect never outlives the indices it has used.
"""
from libc.errno cimport EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOSPC
from libc.string cimport memcpy, memset

from kernels.srtp.context cimport (
    AUTH_HMAC_SHA1, AUTH_NONE, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL, CRYPTO_LEGACY_192,
    CRYPTO_PLAIN_RTCP, CRYPTO_PLAIN_RTP, CRYPTO_ROC_KEEP, CRYPTO_ROC_RESET, CRYPTO_SEND, CRYPTO_UNAUTHENTICATED_RTP,
    MAX_MKI,
)
from kernels.srtp.kdf cimport DERIVE_ONCE
from kernels.srtp.lookup cimport key_expired, key_find
from kernels.srtp.pool cimport (
    key_add, key_drop, key_limit, key_refresh, key_same, keys_release, lane_clear, lane_set,
    streams_rekey, streams_release,
)
from kernels.srtp.tables cimport (
    CRYPTO_FREE, CRYPTO_READY, CRYPTO_SUSPENDED, Crypto, Lane, MOST_KEYS, MOST_SSRCS, MOST_WINDOW,
)
from kernels.wire.atomics cimport store_release_u32
from kernels.wire.packet cimport NO_SLOT


cdef int install(Engine *engine, uint32_t crypto, const CryptoParameters *parameters,
                 const MasterKey *key) noexcept nogil:
    cdef Crypto *owner
    cdef uint32_t held
    cdef int error
    if (crypto >= engine.header.cryptos or not parameters_valid(parameters)
            or not also_valid(engine, crypto, parameters)):
        return -EINVAL
    owner = &engine.cryptos[crypto]
    if owner.state == CRYPTO_FREE:
        blank(engine, crypto)
    held = key_held(engine, owner, parameters, key)
    begin(engine, crypto)
    if held == NO_SLOT:
        error = replace(engine, crypto, parameters, key)
    else:
        error = update(engine, crypto, parameters, key, held)
    if parameters.also and engine.cryptos[parameters.also - 1].state != CRYPTO_FREE:
        engine.cryptos[parameters.also - 1].linked_by = crypto + 1
    finish(engine, crypto)
    return error

cdef int replace(Engine *engine, uint32_t crypto, const CryptoParameters *parameters,
                 const MasterKey *key) noexcept nogil:
    """Another master key: all SSRC state starts again, the SRTCP index of a sender goes on. Where the ROC of an SSRC
    stood is kept as far as the policy may want it."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    owner.state = CRYPTO_SUSPENDED
    keys_release(engine, crypto)
    if roc_of_use(&owner.parameters, parameters):
        streams_rekey(engine, crypto)
    else:
        streams_release(engine, crypto)
    parameters_set(owner, parameters)
    owner.send_key = key_add(engine, crypto, key)
    if owner.send_key == NO_SLOT:
        return -ENOSPC if engine.free_key == NO_SLOT else -EIO
    owner.state = CRYPTO_READY
    return 0

cdef int update(Engine *engine, uint32_t crypto, const CryptoParameters *parameters, const MasterKey *key,
                uint32_t held) noexcept nogil:
    """A master key that is in use already: indices, ROC and windows always continue, whatever else changes (the same
    key and index again would be a two-time pad, RFC 3711 section 9.1)."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef bint expand = owner.state != CRYPTO_READY or not parameters_derive_alike(&owner.parameters, parameters)
    cdef uint32_t slot, following
    if owner.parameters.mki_octets != parameters.mki_octets:
        slot = owner.first_key
        while slot != NO_SLOT:
            following = engine.keys[slot].next
            if slot != held:
                key_drop(engine, crypto, slot)
            slot = following
        owner.send_key = held
    owner.state = CRYPTO_SUSPENDED
    parameters_set(owner, parameters)
    memcpy(engine.keys[held].mki, key.mki, parameters.mki_octets)
    key_limit(&engine.keys[held], key)
    slot = owner.first_key
    while expand and slot != NO_SLOT:
        if not key_refresh(engine, owner, slot):
            return -EIO
        slot = engine.keys[slot].next
    if owner.send_key == NO_SLOT:
        owner.send_key = held
    owner.state = CRYPTO_READY
    return 0

cdef int add_key(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil:
    cdef Crypto *owner
    cdef uint32_t slot
    if crypto >= engine.header.cryptos or engine.cryptos[crypto].state != CRYPTO_READY:
        return -ENOENT
    owner = &engine.cryptos[crypto]
    if owner.parameters.mki_octets == 0:
        return -EINVAL                      # nothing on the wire would tell the keys apart
    slot = key_find(engine, owner, key.mki)
    if slot != NO_SLOT:
        if not key_same(engine, owner, slot, key):
            return -EEXIST
        key_limit(&engine.keys[slot], key)
        return 0
    if key_count(engine, owner) >= MOST_KEYS and not drop_expired(engine, crypto):
        return -ENOSPC
    if key_add(engine, crypto, key) == NO_SLOT:      # valid for running traffic at every step: generation stays even
        return -ENOSPC if engine.free_key == NO_SLOT else -EIO
    return 0

cdef int select_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil:
    cdef Crypto *owner
    cdef uint32_t slot
    if crypto >= engine.header.cryptos or engine.cryptos[crypto].state != CRYPTO_READY:
        return -ENOENT
    owner = &engine.cryptos[crypto]
    if not owner.parameters.flags & CRYPTO_SEND:
        return -EINVAL
    slot = key_find(engine, owner, mki)
    if slot == NO_SLOT:
        return -ENOENT
    store_release_u32(&owner.send_key, slot)
    return 0

cdef int remove_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil:
    """One of several keys. Absent is no error; the one that protects, or the only one, is."""
    cdef Crypto *owner
    cdef uint32_t slot
    if crypto >= engine.header.cryptos or engine.cryptos[crypto].state != CRYPTO_READY:
        return -ENOENT
    owner = &engine.cryptos[crypto]
    slot = key_find(engine, owner, mki)
    if slot == NO_SLOT:
        return 0
    if owner.parameters.mki_octets == 0 or key_count(engine, owner) == 1:
        return -EBUSY
    if slot == owner.send_key:
        if owner.parameters.flags & CRYPTO_SEND:
            return -EBUSY
        owner.send_key = owner.first_key if owner.first_key != slot else engine.keys[slot].next
    key_drop(engine, crypto, slot)
    return 0

cdef int link(Engine *engine, uint32_t crypto, uint32_t also) noexcept nogil:
    """Of two installed receivers: the second is asked for what the first does not take."""
    if (crypto >= engine.header.cryptos or also >= engine.header.cryptos or crypto == also
            or engine.cryptos[crypto].state != CRYPTO_READY or engine.cryptos[also].state != CRYPTO_READY):
        return -EINVAL
    engine.cryptos[also].linked_by = crypto + 1
    engine.cryptos[crypto].parameters.also = also + 1
    return 0

cdef int remove(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Crypto *owner
    if crypto >= engine.header.cryptos:
        return -EINVAL
    owner = &engine.cryptos[crypto]
    if owner.state == CRYPTO_FREE:
        return 0
    begin(engine, crypto)
    owner.state = CRYPTO_SUSPENDED
    keys_release(engine, crypto)
    streams_release(engine, crypto)
    blank(engine, crypto)
    finish(engine, crypto)
    return 0


# --- helpers ---------------------------------------------------------------------------------------------------

cdef void begin(Engine *engine, uint32_t crypto) noexcept nogil:
    """From here a death suspends the crypto."""
    store_release_u32(&engine.cryptos[crypto].generation, engine.cryptos[crypto].generation | 1)
    lane_clear(engine, crypto)

cdef void blank(Engine *engine, uint32_t crypto) noexcept nogil:
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t generation = owner.generation
    memset(owner, 0, sizeof(Crypto))
    memset(&engine.lanes[crypto], 0, sizeof(Lane))
    owner.first_key = owner.send_key = owner.first_stream = engine.lanes[crypto].stream = NO_SLOT
    owner.generation = generation

cdef void finish(Engine *engine, uint32_t crypto) noexcept nogil:
    lane_set(engine, crypto)
    store_release_u32(&engine.cryptos[crypto].generation, (engine.cryptos[crypto].generation | 1) + 1)

cdef uint32_t key_held(Engine *engine, const Crypto *owner, const CryptoParameters *parameters,
                       const MasterKey *key) noexcept nogil:
    """Slot of the crypto's key with the same octets, NO_SLOT: a new key."""
    cdef uint32_t slot = owner.first_key
    if owner.parameters.key_octets != parameters.key_octets or owner.parameters.salt_octets != parameters.salt_octets:
        return NO_SLOT
    while slot != NO_SLOT and not key_same(engine, owner, slot, key):
        slot = engine.keys[slot].next
    return slot

cdef uint32_t key_count(const Engine *engine, const Crypto *owner) noexcept nogil:
    cdef uint32_t slot = owner.first_key, count = 0
    while slot != NO_SLOT:
        count += 1
        slot = engine.keys[slot].next
    return count

cdef bint drop_expired(Engine *engine, uint32_t crypto) noexcept nogil:
    """Make room: one used-up key that is not the sending one."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef uint32_t slot = owner.first_key
    while slot != NO_SLOT:
        if slot != owner.send_key and key_expired(&engine.keys[slot]):
            key_drop(engine, crypto, slot)
            return True
        slot = engine.keys[slot].next
    return False

cdef void parameters_set(Crypto *owner, const CryptoParameters *parameters) noexcept nogil:
    owner.parameters = parameters[0]
    owner.rtp_tag = 0 if parameters.flags & CRYPTO_UNAUTHENTICATED_RTP else parameters.rtp_tag
    owner.rtcp_encrypts = not (parameters.flags & CRYPTO_PLAIN_RTCP or parameters.cipher == CIPHER_NULL)

cdef bint roc_of_use(const CryptoParameters *before, const CryptoParameters *now) noexcept nogil:
    """Whether a re-keyed crypto may want to know where its SSRCs stood: a sender that keeps the ROC, a receiver that
    keeps it or tries it."""
    if (before.flags ^ now.flags) & CRYPTO_SEND:
        return False
    return now.flags & CRYPTO_ROC_KEEP if now.flags & CRYPTO_SEND else not now.flags & CRYPTO_ROC_RESET

cdef bint also_valid(const Engine *engine, uint32_t crypto, const CryptoParameters *p) noexcept nogil:
    return p.also == 0 or (p.also <= engine.header.cryptos and p.also - 1 != crypto and not p.flags & CRYPTO_SEND)

cdef bint parameters_derive_alike(const CryptoParameters *a, const CryptoParameters *b) noexcept nogil:
    """Whether session keys and back end state of one serve the other."""
    return (a.cipher == b.cipher and a.auth == b.auth and a.key_octets == b.key_octets
            and a.salt_octets == b.salt_octets and a.kdr_log2 == b.kdr_log2
            and (a.flags ^ b.flags) & (CRYPTO_SEND | CRYPTO_LEGACY_192) == 0)

cdef bint parameters_valid(const CryptoParameters *p) noexcept nogil:
    if p.mki_octets > MAX_MKI or not 64 <= p.window <= MOST_WINDOW or not 1 <= p.ssrc_limit <= MOST_SSRCS:
        return False
    if p.kdr_log2 > 24 and p.kdr_log2 != DERIVE_ONCE:
        return False
    if p.flags & ~(CRYPTO_SEND | CRYPTO_PLAIN_RTP | CRYPTO_PLAIN_RTCP | CRYPTO_UNAUTHENTICATED_RTP | CRYPTO_LEGACY_192
                   | CRYPTO_ROC_RESET | CRYPTO_ROC_KEEP):
        return False
    if p.flags & CRYPTO_ROC_RESET and p.flags & CRYPTO_ROC_KEEP:
        return False
    if p.flags & CRYPTO_LEGACY_192 and p.key_octets != 24:
        return False
    if p.key_octets != 16 and p.key_octets != 24 and p.key_octets != 32:
        return False
    if p.cipher == CIPHER_AES_GCM:
        return (p.key_octets != 24 and p.salt_octets == 12 and p.auth == AUTH_NONE
                and not p.flags & CRYPTO_UNAUTHENTICATED_RTP
                and (p.rtp_tag == 16 or p.rtp_tag == 8) and p.rtcp_tag == p.rtp_tag)
    if p.salt_octets != 14 or p.cipher > CIPHER_AES_GCM or (p.cipher == CIPHER_AES_F8 and p.key_octets != 16):
        return False
    if p.auth == AUTH_NONE:
        return p.rtp_tag == 0 and p.rtcp_tag == 0
    return p.auth == AUTH_HMAC_SHA1 and hmac_tag_valid(p.rtp_tag) and hmac_tag_valid(p.rtcp_tag)

cdef bint hmac_tag_valid(uint8_t octets) noexcept nogil:
    """None, or from the 32 bits of RFC 3711 section 5.2 to the whole digest."""
    return octets == 0 or 4 <= octets <= 20
