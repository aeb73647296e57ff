# Next hops: (local interface, destination address) -> the Ethernet header a datagram leaves under.
#
# One table for all workers, in the arena. The control process writes rows, each under its own sequence number; workers
# read. A row stands in one of the PROBES places that follow from its hash, so nothing has to be rebuilt ever. Without a
# usable row a datagram leaves by its kernel socket, and the worker notes the destination as wanted.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from kernels.control.sequence cimport sequence_changed, sequence_read
from kernels.wire.atomics cimport load_acquire_u32, store_release_u32
from kernels.wire.frame cimport Way
from kernels.wire.packet cimport Peer

cdef enum:
    PROBES = 16
    WANTED = 256                # destinations that one worker may ask for at a time

cdef enum:                      # NextHop.state
    HOP_FREE = 0
    HOP_UP = 1
    HOP_DOWN = 2                # known, and not reachable by frames of ours: the kernel's socket decides

cdef struct NextHop:            # 64 octets
    uint32_t sequence
    uint32_t ifindex            # device whose rings send
    uint8_t ip[16]              # destination, IPv4 in the first four octets
    uint8_t family
    uint8_t state
    uint16_t interface          # number of the local address, in the holder's order
    uint32_t mtu                # octets of an IP packet
    Way way
    uint8_t pad[16]

cdef struct Wanted:             # 64 octets; the worker fills an empty one, the control process empties it
    uint32_t state              # 0 empty, 1 asked for
    uint16_t interface
    uint8_t family
    uint8_t pad0
    uint8_t ip[16]
    uint8_t pad[40]

cdef inline uint32_t next_hop_hash(uint32_t interface, const Peer *to) noexcept nogil:
    cdef uint64_t low, high
    memcpy(&low, to.ip, 8)
    memcpy(&high, to.ip + 8, 8)
    low = (low ^ interface) * <uint64_t>0x9E3779B97F4A7C15
    low = (low ^ (low >> 32) ^ high) * <uint64_t>0xD6E8FEB86659FD93
    return <uint32_t>(low >> 32)

cdef inline bint next_hop_find(const NextHop *rows, uint32_t count, uint32_t interface, const Peer *to,
                               NextHop *out) noexcept nogil:
    """A copy of the row, False when there is none (or it is being changed). `count` is a power of two."""
    cdef uint32_t start = next_hop_hash(interface, to)
    cdef uint32_t i, sequence
    cdef const NextHop *row
    if count == 0:
        return False
    for i in range(PROBES):
        row = &rows[(start + i) & (count - 1)]
        if row.interface != interface or row.family != to.family or memcmp(row.ip, to.ip, 16) != 0:
            continue
        sequence = sequence_read(&row.sequence)
        memcpy(out, row, sizeof(NextHop))
        return (not sequence_changed(&row.sequence, sequence) and out.state == HOP_UP
                and out.family == to.family and memcmp(out.ip, to.ip, 16) == 0)
    return False

cdef inline void wanted_note(Wanted *wanted, uint32_t interface, const Peer *to) noexcept nogil:
    """Ask for a row; a place that is taken means another destination is asked for first."""
    cdef Wanted *place = &wanted[next_hop_hash(interface, to) & (WANTED - 1)]
    if load_acquire_u32(&place.state) != 0:
        return
    place.interface = <uint16_t>interface
    place.family = to.family
    memcpy(place.ip, to.ip, 16)
    store_release_u32(&place.state, 1)

cdef list wanted_take(Wanted *wanted, uint32_t count)

cdef class NextHops:
    """The control process's view of a table; rows by (interface number, address)."""
    cdef NextHop *rows
    cdef uint32_t count
    cdef Wanted *wanted         # of the worker that reads; NULL: nobody to ask
    cdef object owner           # keeps the memory
    cdef bint put(self, uint32_t interface, const Peer *to, const NextHop *row)
