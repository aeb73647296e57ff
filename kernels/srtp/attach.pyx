# cython: language_level=3, boundscheck=False, wraparound=False
"""Attach and detach. Memory: header, then the tables (tables.pxd), each slot 64-aligned."""
from libc.errno cimport EINVAL, ENOMEM, EOPNOTSUPP, EPROTO
from libc.stdint cimport uint8_t, uint32_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from kernels.cipher.select cimport backend_selected
from kernels.srtp.job cimport Round
from kernels.srtp.kdf cimport deriver_free, deriver_new
from kernels.srtp.pool cimport pools_adopt
from kernels.srtp.tables cimport (
    Crypto, KeySlot, LANE_OPEN, LANE_SEAL, LAYOUT_MAGIC, LAYOUT_VERSION, Lane, MOST_DROPS, Ring, SETS, Stream,
    tables_octets, tables_place,
)
from kernels.wire.packet cimport BATCH, DROP_CRYPTO_COUNT, NO_SLOT


cdef uint64_t footprint(const EngineSizes *sizes) noexcept nogil:
    return tables_octets(sizes)

cdef int attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil:
    cdef int error
    memset(engine, 0, sizeof(Engine))
    if memory == NULL or <uintptr_t>memory % ALIGNMENT or sizes.keys >= NO_SLOT // SETS:
        return -EINVAL
    tables_place(engine, memory, sizes)
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
    engine.pending = pending_new()
    if engine.deriver == NULL or engine.backend_state == NULL or engine.pending == NULL:
        detach(engine)
        return -ENOMEM
    engine.lane_open, engine.lane_seal = LANE_OPEN, LANE_SEAL
    engine.slot_memory = <const uint8_t *>engine.backend.slot_memory(engine.backend_state, &engine.slot_stride)
    error = pools_adopt(engine)
    if error:
        detach(engine)
    return error

cdef void detach(Engine *engine) noexcept nogil:
    """Frees what is process-local; the memory keeps its contents for the next owner."""
    if engine.backend != NULL and engine.backend_state != NULL:
        engine.backend.destroy(engine.backend_state)
    deriver_free(engine.deriver)
    free(engine.pending)
    memset(engine, 0, sizeof(Engine))

cdef bint header_fits(const EngineHeader *header, const EngineSizes *sizes) noexcept nogil:
    return (header.magic == LAYOUT_MAGIC and header.version == LAYOUT_VERSION
            and header.cryptos == sizes.cryptos and header.keys == sizes.keys and header.streams == sizes.streams
            and header.crypto_octets == sizeof(Crypto) and header.key_octets == sizeof(KeySlot)
            and header.stream_octets == sizeof(Stream) and header.lane_octets == sizeof(Lane)
            and header.ring_octets == sizeof(Ring))

cdef Round *pending_new() noexcept nogil:
    """An empty round; NULL when memory is short."""
    cdef void *memory = NULL
    cdef Round *pending
    cdef uint32_t i
    if posix_memalign(&memory, ALIGNMENT, sizeof(Round)):
        return NULL
    memset(memory, 0, sizeof(Round))
    pending = <Round *>memory
    for i in range(BATCH):
        pending.order[i] = &pending.jobs[i]
    return pending

cdef void format_memory(Engine *engine, const EngineSizes *sizes) noexcept nogil:
    memset(engine.header, 0, footprint(sizes))
    engine.header.cryptos, engine.header.keys, engine.header.streams = sizes.cryptos, sizes.keys, sizes.streams
    engine.header.crypto_octets = sizeof(Crypto)
    engine.header.key_octets = sizeof(KeySlot)
    engine.header.stream_octets = sizeof(Stream)
    engine.header.lane_octets = sizeof(Lane)
    engine.header.ring_octets = sizeof(Ring)
    engine.header.version = LAYOUT_VERSION
    engine.header.magic = LAYOUT_MAGIC


def _check_sizes():
    """A build whose slots outgrew their room must not start."""
    if <int>DROP_CRYPTO_COUNT > <int>MOST_DROPS:
        raise ImportError(f"layout: {<int>DROP_CRYPTO_COUNT} drops do not fit {<int>MOST_DROPS}")
    for size in (sizeof(EngineHeader), sizeof(Crypto), sizeof(KeySlot), sizeof(Stream), sizeof(Lane), sizeof(Ring)):
        if size % ALIGNMENT:
            raise ImportError(f"layout: {size} is no multiple of {ALIGNMENT}")


_check_sizes()
