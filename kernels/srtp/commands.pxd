# What the control process may ask of a crypto. See engine.pxd for results.
from libc.stdint cimport uint8_t, uint32_t

from kernels.srtp.context cimport CryptoParameters, MasterKey
from kernels.srtp.tables cimport Engine

cdef int install(Engine *engine, uint32_t crypto, const CryptoParameters *parameters,
                 const MasterKey *key) noexcept nogil
cdef int add_key(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil
cdef int select_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil
cdef int remove_key(Engine *engine, uint32_t crypto, const uint8_t *mki) noexcept nogil
cdef int link(Engine *engine, uint32_t crypto, uint32_t also) noexcept nogil
cdef int remove(Engine *engine, uint32_t crypto) noexcept nogil
