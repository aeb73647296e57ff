# The receiving half of a turn.
from libc.stdint cimport uint64_t

from kernels.load.loop cimport Loop

cdef bint receive(Loop *loop, uint64_t wait_ns) noexcept nogil
