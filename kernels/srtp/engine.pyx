# cython: language_level=3
from libc.errno cimport ENOSYS
from kernels.wire.packet cimport DROP_NONE, DROP_NOT_KEYED, NO_SLOT

cdef uint64_t engine_footprint(const EngineSizes *sizes) noexcept nogil:
    return 64 + <uint64_t>sizes.cryptos * 384 + <uint64_t>sizes.keys * 768 + <uint64_t>sizes.streams * 320
cdef int engine_attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil:
    return -ENOSYS
cdef void engine_detach(Engine *engine) noexcept nogil:
    pass
cdef int engine_install(Engine *engine, uint32_t crypto, const CryptoParameters *parameters, const MasterKey *key) noexcept nogil:
    return -ENOSYS
cdef int engine_add_key(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil:
    return -ENOSYS
cdef int engine_select_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil:
    return -ENOSYS
cdef int engine_remove(Engine *engine, uint32_t crypto) noexcept nogil:
    return -ENOSYS
cdef void engine_open(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        if packets[i].drop == DROP_NONE and packets[i].crypto != NO_SLOT:
            packets[i].drop = DROP_NOT_KEYED
cdef void engine_seal(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    engine_open(engine, packets, count)
