# Laying the engine over memory: new, or left behind by an owner that died.
from libc.stdint cimport uint64_t

from kernels.srtp.context cimport EngineSizes
from kernels.srtp.tables cimport Engine, EngineHeader

cdef enum:
    ALIGNMENT = 64

cdef uint64_t footprint(const EngineSizes *sizes) noexcept nogil
cdef bint header_fits(const EngineHeader *header, const EngineSizes *sizes) noexcept nogil
cdef int attach(Engine *engine, void *memory, const EngineSizes *sizes, bint fresh) noexcept nogil
cdef void detach(Engine *engine) noexcept nogil
