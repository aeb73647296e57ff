from libc.stdint cimport uint32_t

from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport Packet

cdef void seal(Engine *engine, Packet **packets, uint32_t count) noexcept nogil
