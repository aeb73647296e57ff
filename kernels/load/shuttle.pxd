from libc.stdint cimport uint64_t

from kernels.load.fleet cimport Pool, Side

# What is due leaves; False: nothing was.
cdef bint fleet_send(Pool *pool, Side *side, uint64_t now) noexcept nogil
# What has arrived is verified; False: nothing had.
cdef bint fleet_listen(Pool *pool, Side *side) noexcept nogil
