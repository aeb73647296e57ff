# cython: cdivision=True
# Socket numbers and what they stand for: arithmetic instead of tables (see port.pxd; kernels.control.sockets opens
# them so).
from libc.stdint cimport uint16_t, uint32_t

from kernels.wire.packet cimport NO_SLOT

cdef enum:
    NUMBERED = 64               # most interfaces

cdef struct Numbering:
    uint32_t share              # socket numbers of one worker on one interface: as many as the widest has ports
    uint32_t workers
    uint32_t interfaces
    uint32_t first[NUMBERED]    # lowest media port of an interface; worker w has `width` from first + w * width on
    uint32_t width[NUMBERED]    # ports of one worker, at most `share`

cdef inline uint32_t numbering_span(const Numbering *n) noexcept nogil:
    """Places of one interface in a table by interface and port - first."""
    return n.share * n.workers

cdef inline uint32_t numbering_number(const Numbering *n, uint32_t interface, uint32_t port) noexcept nogil:
    """The socket number of a local port; NO_SLOT when it is no media port."""
    cdef uint32_t offset = port - n.first[interface]
    cdef uint32_t width = n.width[interface]
    cdef uint32_t worker
    if offset >= width * n.workers:
        return NO_SLOT
    worker = offset // width
    return (worker * n.interfaces + interface) * n.share + offset - worker * width

cdef inline uint32_t numbering_interface(const Numbering *n, uint32_t number) noexcept nogil:
    """Index of the interface of a socket."""
    return number // n.share % n.interfaces

cdef inline uint16_t numbering_port(const Numbering *n, uint32_t number) noexcept nogil:
    """UDP port of a socket."""
    cdef uint32_t interface = numbering_interface(n, number)
    cdef uint32_t worker = number // (n.share * n.interfaces)
    return <uint16_t>(n.first[interface] + worker * n.width[interface] + number % n.share)

cdef inline bint numbering_fill(Numbering *n, object ports, uint32_t workers) except -1:
    """`ports`: by interface, (first port, ports of one worker). ValueError."""
    if not 0 < len(ports) <= NUMBERED:
        raise ValueError(f"1 to {NUMBERED} interfaces")
    n.workers, n.interfaces = workers, len(ports)
    n.share = 0
    for interface, (first, width) in enumerate(ports):
        n.first[<uint32_t>interface], n.width[<uint32_t>interface] = first, width
        n.share = max(n.share, <uint32_t>width)
    return True
