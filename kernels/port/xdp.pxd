# The `xdp` port: AF_XDP rings beside the kernel sockets of another port, which catches and sends whatever rings cannot.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.linux cimport epoll_event
from kernels.port.nexthop cimport NextHop, NextHops, Wanted
from kernels.port.numbering cimport Numbering
from kernels.port.port cimport AnyPort, Port
from kernels.port.rings cimport Pool
from kernels.port.xsk cimport MOST_XSKS, Rings, Shared, Xsk
from kernels.wire.packet cimport BATCH, Packet

cdef enum:
    MOST_LOCALS = 64            # local addresses
    MOST_DEVICES = 16
    NO_DEVICE = 0xFFFF
    LOOK_NS = 200000            # under load the kernel sockets are asked this often
    STATISTICS_NS = 10000000
    DEAD_NS = 50000000          # a ring that refused is tried again after this
    KICKS = 4                   # most system calls to send one burst of a ring
    INNER = 0                   # epoll's name of the other port

cdef struct Local:              # a local address of the configuration
    uint8_t ip[16]
    uint8_t family
    uint8_t pad
    uint16_t device             # NO_DEVICE: kernel sockets only
    uint16_t outer              # VLAN ids of frames to this address, 0: no tag
    uint16_t inner

cdef struct Xdp:
    Port port                   # first: a Port * is an Xdp *
    Port *inner
    int epoll
    bint busy                   # busy polling: the rings are driven by our system calls
    uint8_t *area
    Shared *shared
    Pool pool
    Local locals[MOST_LOCALS]
    uint32_t local_count
    Numbering numbering
    const NextHop *next_hops
    uint32_t next_hop_count
    Wanted *wanted              # NULL: nobody to ask
    uint16_t sends_by[MOST_DEVICES][MOST_XSKS]          # rings of a device
    uint16_t sends_by_count[MOST_DEVICES]
    uint32_t turn               # ring to begin with
    bint gone[BATCH]            # of these, given to a ring for sending
    uint64_t looked_ns
    uint64_t statistics_ns
    uint64_t now
    Packet packets[BATCH]
    Packet *others[BATCH]       # transmit: what leaves by kernel sockets
    epoll_event events[MOST_XSKS + 1]

cdef class XdpPort(AnyPort):
    cdef Xdp *xdp
    cdef Rings rings
    cdef AnyPort other
    cdef NextHops hops
    cdef object keep
    cdef attach_rings(self)
    cdef watch(self)
    cdef set_locals(self, list locals)
