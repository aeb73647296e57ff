# The sending half of a turn.
from libc.stdint cimport uint32_t, uint64_t

from kernels.load.loop cimport Loop

cdef uint32_t write_due(Loop *loop, uint64_t now) noexcept nogil
cdef void send_batch(Loop *loop, uint32_t count) noexcept nogil
