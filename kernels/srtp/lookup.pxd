# Finding crypto, master key, session keys and stream of a packet. Reads only.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kernels.srtp.kdf cimport DERIVE_ONCE
from kernels.srtp.tables cimport CRYPTO_READY, Crypto, Engine, KeySlot, SET_RTCP, SET_RTP, Stream
from kernels.wire.packet cimport NO_SLOT

cdef inline Crypto *crypto_find(const Engine *engine, uint32_t slot) noexcept nogil:
    """NULL unless installed and complete."""
    if slot >= engine.header.cryptos or engine.cryptos[slot].state != CRYPTO_READY:
        return NULL
    return &engine.cryptos[slot]

cdef inline uint32_t also_of(const Engine *engine, uint32_t slot) noexcept nogil:
    """The crypto to ask next for a packet of `slot`, NO_SLOT when there is none. Both ends must name each other: a slot
    that another call has got since must not open a packet of this one (A05)."""
    cdef uint32_t following = engine.cryptos[slot].parameters.also - 1
    if crypto_find(engine, following) == NULL or engine.cryptos[following].linked_by != slot + 1:
        return NO_SLOT
    return following

cdef inline uint32_t key_find(const Engine *engine, const Crypto *crypto, const uint8_t *mki) noexcept nogil:
    """Slot of the master key with this MKI (not secret: plain comparison), NO_SLOT when there is none."""
    cdef uint32_t slot = crypto.first_key
    cdef uint32_t octets = crypto.parameters.mki_octets
    while slot != NO_SLOT:
        if octets == 0 or memcmp(engine.keys[slot].mki, mki, octets) == 0:
            return slot
        slot = engine.keys[slot].next
    return NO_SLOT

cdef inline bint key_expired(const KeySlot *key) noexcept nogil:
    """Either lifetime used up ends the key for both protocols (RFC 3711 section 9.2: whichever occurs first)."""
    return key.rtp_packets >= key.rtp_lifetime or key.rtcp_packets >= key.rtcp_lifetime

cdef inline uint64_t epoch_of(const Crypto *crypto, uint64_t index) noexcept nogil:
    """r = index DIV key derivation rate."""
    if crypto.parameters.kdr_log2 == DERIVE_ONCE:
        return 0
    return index >> crypto.parameters.kdr_log2

cdef inline int32_t set_find(const KeySlot *key, bint rtcp, uint64_t epoch) noexcept nogil:
    """Which of the key's sets holds this epoch; -1: none, it must be derived."""
    cdef uint32_t base = SET_RTCP if rtcp else SET_RTP
    cdef uint32_t current = key.current[rtcp]
    if key.sets[base + current].ready and key.sets[base + current].epoch == epoch:
        return <int32_t>(base + current)
    current ^= 1
    if key.sets[base + current].ready and key.sets[base + current].epoch == epoch:
        return <int32_t>(base + current)
    return -1

cdef inline uint32_t stream_find(const Engine *engine, const Crypto *crypto, uint32_t ssrc) noexcept nogil:
    cdef uint32_t slot = crypto.first_stream
    while slot != NO_SLOT:
        if engine.streams[slot].ssrc == ssrc:
            return slot
        slot = engine.streams[slot].next
    return NO_SLOT
