# Kernel sockets: one per local port, opened by the holder and inherited through fork.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.clib.linux cimport epoll_event, iovec, mmsghdr, sockaddr_storage
from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport BATCH, FRAME, Packet

cdef enum:
    CONTROL = 64                # octets for SO_RXQ_OVFL's message
    DEEPEST = 8                 # most datagrams of one socket in one system call
    DOORBELL = 0xFFFFFFFF       # epoll's name of the doorbell

cdef struct Udp:
    Port port                   # first: a Port * is a Udp *
    int epoll
    int doorbell
    uint32_t sockets
    int *fds                    # by socket number
    uint32_t *overflowed        # last value of SO_RXQ_OVFL, by socket
    uint64_t *burst_of          # transmit: burst that last used a socket
    uint32_t *last_of           # transmit: its last packet in this burst
    uint64_t burst              # 64 bits: a number that came round again would join strange packets
    uint8_t *frames             # BATCH frames
    Packet packets[BATCH]
    epoll_event events[BATCH]
    mmsghdr incoming[BATCH]
    iovec incoming_data[BATCH]
    sockaddr_storage sources[BATCH]
    uint8_t control[BATCH][CONTROL]
    mmsghdr outgoing[BATCH]
    iovec outgoing_data[BATCH]
    sockaddr_storage destinations[BATCH]

cdef class UdpPort(AnyPort):
    cdef Udp *udp
    cdef watch(self, int fd, uint32_t name)
