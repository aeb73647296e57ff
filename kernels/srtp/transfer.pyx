# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Moving a crypto between engines; see transfer.pxd. The source must not be usable any more before the copy is: that is
the caller's to see to (kernels/control/move)."""
from libc.errno cimport E2BIG, EINVAL, ENOENT, ENOSPC
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernels.srtp.context cimport CRYPTO_SEND, CryptoParameters, MasterKey
from kernels.srtp.engine cimport engine_add_key, engine_install, engine_remove, engine_select_key
from kernels.srtp.lookup cimport crypto_find, key_find
from kernels.srtp.pool cimport stream_add
from kernels.srtp.tables cimport MOST_KEYS, MOST_SSRCS, Crypto, Engine, KeySlot, Lane, Ring, Stream, Window
from kernels.wire.atomics cimport store_release_u32
from kernels.wire.packet cimport NO_SLOT

cdef struct CryptoImage:
    CryptoParameters parameters
    uint32_t keys               # KeyImage each, after this
    uint32_t streams            # StreamImage each, after them
    uint32_t sending            # which of the keys protects
    uint32_t failures
    uint32_t rtcp_floor
    uint64_t packets
    uint64_t octets
    uint64_t resyncs
    uint32_t drops[30]

cdef struct KeyImage:
    MasterKey master            # with the lifetimes
    uint64_t rtp_packets
    uint64_t rtcp_packets

cdef struct StreamImage:
    uint32_t ssrc
    uint16_t shift
    uint16_t expected
    uint64_t last_ns
    uint64_t packets
    Window rtp
    Window rtcp
    Ring rtp_seen
    Ring rtcp_seen


cdef int32_t crypto_export(const Engine *engine, uint32_t crypto, uint8_t *out, uint32_t room) noexcept nogil:
    cdef const Crypto *owner = crypto_find(engine, crypto)
    cdef CryptoImage *image = <CryptoImage *>out
    cdef uint32_t octets
    if owner == NULL:
        return -ENOENT
    if room < sizeof(CryptoImage):
        return -E2BIG
    memset(image, 0, sizeof(CryptoImage))
    count_chains(engine, owner, image)
    octets = image_octets(image)
    if octets > room:
        return -E2BIG
    image.parameters = owner.parameters
    image.parameters.also = 0           # a slot number of ours
    image.failures, image.rtcp_floor = engine.lanes[crypto].failures, owner.rtcp_floor
    image.packets, image.octets = engine.lanes[crypto].packets, engine.lanes[crypto].octets
    image.resyncs = owner.resyncs
    memcpy(image.drops, owner.drops, sizeof(image.drops))
    export_keys(engine, owner, image, &engine.lanes[crypto])
    export_streams(engine, owner, image)
    return <int32_t>octets


cdef void count_chains(const Engine *engine, const Crypto *owner, CryptoImage *image) noexcept nogil:
    cdef uint32_t slot = owner.first_key
    while slot != NO_SLOT:
        image.keys += 1
        slot = engine.keys[slot].next
    slot = owner.first_stream
    while slot != NO_SLOT:
        image.streams += 1
        slot = engine.streams[slot].next


cdef inline uint32_t image_octets(const CryptoImage *image) noexcept nogil:
    return <uint32_t>(sizeof(CryptoImage) + image.keys * sizeof(KeyImage) + image.streams * sizeof(StreamImage))


cdef inline KeyImage *keys_of(const CryptoImage *image) noexcept nogil:
    return <KeyImage *>(<uint8_t *>image + sizeof(CryptoImage))


cdef inline StreamImage *streams_of(const CryptoImage *image) noexcept nogil:
    return <StreamImage *>(<uint8_t *>keys_of(image) + image.keys * sizeof(KeyImage))


cdef void export_keys(const Engine *engine, const Crypto *owner, CryptoImage *image, const Lane *lane) noexcept nogil:
    """Without what a key was charged in advance (Lane.credit)."""
    cdef KeyImage *out = keys_of(image)
    cdef uint32_t slot = owner.first_key, i = 0
    cdef const KeySlot *key
    while slot != NO_SLOT:
        key = &engine.keys[slot]
        if slot == owner.send_key:
            image.sending = i
        memset(&out[i], 0, sizeof(KeyImage))
        memcpy(out[i].master.key, key.key, owner.parameters.key_octets)
        memcpy(out[i].master.salt, key.salt, owner.parameters.salt_octets)
        memcpy(out[i].master.mki, key.mki, owner.parameters.mki_octets)
        out[i].master.rtp_lifetime, out[i].master.rtcp_lifetime = key.rtp_lifetime, key.rtcp_lifetime
        out[i].rtp_packets, out[i].rtcp_packets = key.rtp_packets, key.rtcp_packets
        if slot == lane.key:
            out[i].rtp_packets -= lane.credit
        i += 1
        slot = key.next


cdef void export_streams(const Engine *engine, const Crypto *owner, CryptoImage *image) noexcept nogil:
    cdef StreamImage *out = streams_of(image)
    cdef uint32_t slot = owner.first_stream
    cdef const Stream *stream
    while slot != NO_SLOT:
        stream = &engine.streams[slot]
        memset(out, 0, sizeof(StreamImage))
        out.ssrc, out.last_ns, out.packets = stream.ssrc, stream.last_ns, stream.packets
        out.shift, out.expected = stream.shift, stream.expected
        out.rtp, out.rtcp = stream.rtp, stream.rtcp
        out.rtp_seen, out.rtcp_seen = engine.rings[2 * slot], engine.rings[2 * slot + 1]
        out += 1
        slot = stream.next


cdef int crypto_import(Engine *engine, uint32_t crypto, const uint8_t *data, uint32_t octets) noexcept nogil:
    cdef const CryptoImage *image = <const CryptoImage *>data
    cdef int error
    if (octets < sizeof(CryptoImage) or not 1 <= image.keys <= MOST_KEYS or image.streams > MOST_SSRCS
            or image.sending >= image.keys or image_octets(image) > octets):
        return -EINVAL
    error = engine_remove(engine, crypto)
    if error == 0:
        error = import_keys(engine, crypto, image)
    if error == 0:
        error = import_state(engine, crypto, image)
    if error != 0:
        engine_remove(engine, crypto)
    return error


cdef int import_keys(Engine *engine, uint32_t crypto, const CryptoImage *image) noexcept nogil:
    """Installed as any other; then the counts of use, so that lifetimes go on."""
    cdef const KeyImage *keys = keys_of(image)
    cdef const KeyImage *first = &keys[image.sending]
    cdef KeySlot *key
    cdef uint32_t i
    cdef int error = engine_install(engine, crypto, &image.parameters, &first.master)
    for i in range(image.keys):
        if error == 0 and i != image.sending:
            error = engine_add_key(engine, crypto, &keys[i].master)
    if error == 0 and image.parameters.flags & CRYPTO_SEND and image.parameters.mki_octets:
        error = engine_select_key(engine, crypto, first.master.mki)
    if error != 0:
        return error
    for i in range(image.keys):
        key = &engine.keys[key_find(engine, &engine.cryptos[crypto], keys[i].master.mki)]
        key.rtp_packets, key.rtcp_packets = keys[i].rtp_packets, keys[i].rtcp_packets
    return 0


cdef int import_state(Engine *engine, uint32_t crypto, const CryptoImage *image) noexcept nogil:
    """Index state of every SSRC, oldest first, so that the chain ends in the order it had. Who dies here leaves an odd
    generation: a suspended crypto, until the command is done again."""
    cdef Crypto *owner = &engine.cryptos[crypto]
    cdef const StreamImage *streams = streams_of(image)
    cdef uint32_t i, slot
    cdef Stream *stream
    store_release_u32(&owner.generation, owner.generation | 1)
    for i in range(image.streams):
        slot = stream_add(engine, crypto, streams[image.streams - 1 - i].ssrc, 0)
        if slot == NO_SLOT:
            store_release_u32(&owner.generation, owner.generation + 1)
            return -ENOSPC
        stream = &engine.streams[slot]
        stream.shift, stream.expected = streams[image.streams - 1 - i].shift, streams[image.streams - 1 - i].expected
        stream.rtp, stream.rtcp = streams[image.streams - 1 - i].rtp, streams[image.streams - 1 - i].rtcp
        engine.rings[2 * slot] = streams[image.streams - 1 - i].rtp_seen
        engine.rings[2 * slot + 1] = streams[image.streams - 1 - i].rtcp_seen
        stream.last_ns, stream.packets = streams[image.streams - 1 - i].last_ns, streams[image.streams - 1 - i].packets
    engine.lanes[crypto].failures, owner.rtcp_floor = image.failures, image.rtcp_floor
    engine.lanes[crypto].packets, engine.lanes[crypto].octets = image.packets, image.octets
    owner.resyncs = image.resyncs
    memcpy(owner.drops, image.drops, sizeof(image.drops))
    store_release_u32(&owner.generation, owner.generation + 1)
    return 0
