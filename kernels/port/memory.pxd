# Datagrams from and to Python lists: the packet path without a kernel under it.
from libc.stdint cimport uint8_t, uint32_t

from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport BATCH, FRAME, Packet, Peer

cdef enum:
    QUEUE = 1024                # datagrams that wait in one direction
    WHOLE = 0xFFFFFFFF          # slack: as a port of production has it, the datagram after the headroom

cdef struct Waiting:
    uint32_t socket
    uint32_t length
    Peer peer
    uint8_t data[FRAME]

cdef struct Memory:
    Port port                   # first: a Port * is a Memory *
    uint32_t arrived            # datagrams injected and not yet received, from `taken` on
    uint32_t taken
    uint32_t sent
    uint32_t held               # frames that `release` has not returned
    Packet packets[BATCH]
    uint32_t slack              # octets of a frame behind the datagram; then comes memory that nobody may touch
    uint32_t stride             # from one frame to the next
    uint8_t *frames             # BATCH of them, each ends at such a page
    Waiting arrivals[QUEUE]
    Waiting departures[QUEUE]

cdef class MemoryPort(AnyPort):
    cdef Memory *memory
