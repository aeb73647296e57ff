# cython: language_level=3, boundscheck=False, wraparound=False
"""Attach and detach. Memory: header, then the tables of cryptos, keys and streams, each slot 64-aligned."""
from libc.errno cimport EINVAL, ENOMEM, EOPNOTSUPP, EPROTO
from libc.stdint cimport uint8_t, uintptr_t
from libc.string cimport memset

from kernels.cipher.select cimport backend_selected
from kernels.srtp.kdf cimport deriver_free, deriver_new
from kernels.srtp.pool cimport pools_adopt
from kernels.srtp.tables cimport Crypto, KeySlot, LAYOUT_MAGIC, LAYOUT_VERSION, SETS, Stream
from kernels.wire.packet cimport NO_SLOT


cdef uint64_t footprint(const EngineSizes *sizes) noexcept nogil:
    return (sizeof(EngineHeader) + <uint64_t>sizes.cryptos * sizeof(Crypto)
            + <uint64_t>sizes.keys * sizeof(KeySlot) + <uint64_t>sizes.streams * sizeof(Stream))

cdef int attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil:
    cdef int error
    memset(engine, 0, sizeof(Engine))
    if memory == NULL or <uintptr_t>memory % ALIGNMENT or sizes.keys >= NO_SLOT // SETS:
        return -EINVAL
    place(engine, <uint8_t *>memory, sizes)
    if fresh:
        format_memory(engine, sizes)
    elif not header_fits(engine.header, sizes):
        memset(engine, 0, sizeof(Engine))
        return -EPROTO
    engine.backend = backend_selected()
    if engine.backend == NULL:
        memset(engine, 0, sizeof(Engine))
        return -EOPNOTSUPP
    engine.deriver = deriver_new()
    engine.backend_state = engine.backend.create(sizes.keys * SETS)
    if engine.deriver == NULL or engine.backend_state == NULL:
        detach(engine)
        return -ENOMEM
    error = pools_adopt(engine)
    if error:
        detach(engine)
    return error

cdef void detach(Engine *engine) noexcept nogil:
    """Frees what is process-local; the memory keeps its contents for the next owner."""
    if engine.backend != NULL and engine.backend_state != NULL:
        engine.backend.destroy(engine.backend_state)
    deriver_free(engine.deriver)
    memset(engine, 0, sizeof(Engine))

cdef bint header_fits(const EngineHeader *header, const EngineSizes *sizes) noexcept nogil:
    return (header.magic == LAYOUT_MAGIC and header.version == LAYOUT_VERSION
            and header.cryptos == sizes.cryptos and header.keys == sizes.keys and header.streams == sizes.streams
            and header.crypto_octets == sizeof(Crypto) and header.key_octets == sizeof(KeySlot)
            and header.stream_octets == sizeof(Stream))

cdef void place(Engine *engine, uint8_t *memory, const EngineSizes *sizes) noexcept nogil:
    engine.header = <EngineHeader *>memory
    memory += sizeof(EngineHeader)
    engine.cryptos = <Crypto *>memory
    memory += <uint64_t>sizes.cryptos * sizeof(Crypto)
    engine.keys = <KeySlot *>memory
    memory += <uint64_t>sizes.keys * sizeof(KeySlot)
    engine.streams = <Stream *>memory

cdef void format_memory(Engine *engine, const EngineSizes *sizes) noexcept nogil:
    memset(engine.header, 0, footprint(sizes))
    engine.header.cryptos, engine.header.keys, engine.header.streams = sizes.cryptos, sizes.keys, sizes.streams
    engine.header.crypto_octets = sizeof(Crypto)
    engine.header.key_octets = sizeof(KeySlot)
    engine.header.stream_octets = sizeof(Stream)
    engine.header.version = LAYOUT_VERSION
    engine.header.magic = LAYOUT_MAGIC
