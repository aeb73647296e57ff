# Datagrams from and to Python lists: the packet path without a kernel under it.
from libc.stdint cimport uint8_t, uint32_t

from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport BATCH, FRAME, Packet, Peer

cdef enum:
    QUEUE = 1024                # datagrams that wait in one direction

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
    uint8_t frames[BATCH][FRAME]
    Waiting arrivals[QUEUE]
    Waiting departures[QUEUE]

cdef class MemoryPort(AnyPort):
    cdef Memory *memory
