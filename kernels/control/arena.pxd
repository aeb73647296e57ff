from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.control.layout cimport ArenaHeader, WorkerBlock
from kernels.control.mapping cimport Mapping

cdef class Arena:
    cdef readonly Mapping mapping
    cdef uint8_t *base
    cdef readonly uint64_t octets
    cdef ArenaHeader *header(self) noexcept
    cdef WorkerBlock *block(self, Py_ssize_t index) except NULL
    cdef format_handoffs(self, uint32_t workers)
