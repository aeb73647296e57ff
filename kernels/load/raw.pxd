# A port of the load generator on one queue of one interface, frame by frame, past the kernel's UDP.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.afxdp cimport af_ring
from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport Packet

cdef enum:
    CHUNK = 2048                    # octets of a frame
    SLOTS = 2048                    # of each ring
    FRAMES = 4096                   # the first half for sending, the other for receiving

cdef struct Raw:
    Port port                       # first: a Port * is a Raw *
    int fd
    int held[3]                     # map, program, link
    af_ring rings[4]                # receive, transmit, fill, completion
    uint8_t *area
    uint8_t macs[12]                # of the far end, ours
    uint8_t ip[4]
    uint16_t *ports                 # by socket number
    uint32_t *by_port               # local port -> socket number, NO_SLOT
    uint32_t spare[2048]            # frames that may be sent
    uint32_t spares
    uint32_t taken                  # of the receive ring, given back by release
    uint64_t spoilt                 # frames that were no UDP datagram for us, or with a wrong checksum
    Packet packets[64]

cdef class RawPort(AnyPort):
    cdef Raw *raw
