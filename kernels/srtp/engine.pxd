# The SRTP engine as its users see it: worker, load generator, Session. See context.pxd for the contract.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.srtp.context cimport CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport Packet

# Octets of memory, 64-aligned by the caller, that engine_attach wants for these sizes.
cdef uint64_t engine_footprint(const EngineSizes *sizes) noexcept nogil

# 0, or negative errno: EINVAL (alignment), EPROTO (memory of another layout), ENOMEM, EOPNOTSUPP (no cipher back end
# passes its self-test).
cdef int engine_attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil
cdef void engine_detach(Engine *engine) noexcept nogil

# Commands, idempotent: 0, or negative errno: EINVAL (parameters), ENOENT (no such crypto or MKI), EEXIST (MKI has
# another key), EBUSY (the key that protects, or the only one), ENOSPC (pool empty), EIO (libcrypto failed).
cdef int engine_install(Engine *engine, uint32_t crypto, const CryptoParameters *parameters,
                        const MasterKey *key) noexcept nogil
cdef int engine_add_key(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil
cdef int engine_select_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil
cdef int engine_remove_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil
cdef int engine_link(Engine *engine, uint32_t crypto, uint32_t also) noexcept nogil
cdef int engine_remove(Engine *engine, uint32_t crypto) noexcept nogil

# The packet path; at most BATCH packets a call are efficient, any count is correct.
cdef void engine_open(Engine *engine, Packet **packets, uint32_t count) noexcept nogil
cdef void engine_seal(Engine *engine, Packet **packets, uint32_t count) noexcept nogil
