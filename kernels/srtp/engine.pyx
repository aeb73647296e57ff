# cython: language_level=3
"""The engine's face for other modules (cimport); see engine.pxd. Each function is one file's subject."""
from kernels.srtp cimport attach as _attach, commands as _commands, open as _open, seal as _seal


cdef uint64_t engine_footprint(const EngineSizes *sizes) noexcept nogil:
    return _attach.footprint(sizes)

cdef int engine_attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil:
    return _attach.attach(engine, memory, sizes, fresh)

cdef void engine_detach(Engine *engine) noexcept nogil:
    _attach.detach(engine)

cdef int engine_install(Engine *engine, uint32_t crypto, const CryptoParameters *parameters,
                        const MasterKey *key) noexcept nogil:
    return _commands.install(engine, crypto, parameters, key)

cdef int engine_add_key(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil:
    return _commands.add_key(engine, crypto, key)

cdef int engine_select_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil:
    return _commands.select_key(engine, crypto, mki)

cdef int engine_remove_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil:
    return _commands.remove_key(engine, crypto, mki)

cdef int engine_link(Engine *engine, uint32_t crypto, uint32_t also) noexcept nogil:
    return _commands.link(engine, crypto, also)

cdef int engine_remove(Engine *engine, uint32_t crypto) noexcept nogil:
    return _commands.remove(engine, crypto)

cdef void engine_open(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    _open.open_(engine, packets, count)

cdef void engine_seal(Engine *engine, Packet **packets, uint32_t count) noexcept nogil:
    _seal.seal(engine, packets, count)
