# cython: cdivision=True
# Socket numbers and what they stand for: arithmetic instead of tables (see port.pxd; kernels.control.sockets opens
# them so).
from libc.stdint cimport uint16_t, uint32_t

from kernels.wire.packet cimport NO_SLOT

cdef struct Numbering:
    uint32_t first              # lowest media port; worker w has `share` ports from first + w * share on
    uint32_t share              # ports of one worker on one interface
    uint32_t workers
    uint32_t interfaces

cdef inline uint32_t numbering_span(const Numbering *n) noexcept nogil:
    """Media ports of one interface."""
    return n.share * n.workers

cdef inline uint32_t numbering_number(const Numbering *n, uint32_t interface, uint32_t port) noexcept nogil:
    """The socket number of a local port; NO_SLOT when it is no media port."""
    cdef uint32_t offset = port - n.first
    cdef uint32_t worker
    if offset >= numbering_span(n):
        return NO_SLOT
    worker = offset // n.share
    return (worker * n.interfaces + interface) * n.share + offset - worker * n.share

cdef inline uint32_t numbering_interface(const Numbering *n, uint32_t number) noexcept nogil:
    """Index of the interface of a socket."""
    return number // n.share % n.interfaces

cdef inline uint16_t numbering_port(const Numbering *n, uint32_t number) noexcept nogil:
    """UDP port of a socket."""
    return <uint16_t>(n.first + number // (n.share * n.interfaces) * n.share + number % n.share)
