# Kernel sockets, opened by the holder and inherited through fork: one per local port, or (wildcard) one receiver and
# one raw sender per local address.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.linux cimport epoll_event, iovec, mmsghdr, sockaddr_storage
from kernels.port.numbering cimport Numbering
from kernels.port.port cimport AnyPort, Port
from kernels.wire.atomics cimport store_release_u32
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_NONE, DROP_TOO_LONG, FRAME, HEADROOM, NO_SLOT, Packet, Peer,
)

cdef enum:
    CONTROL = 128               # octets for SO_RXQ_OVFL's message and the address that a datagram was sent to
    DEEPEST = 8                 # most datagrams of one socket in one system call, where each port has its own
    LISTEN = 64                 # every so many turns also single reads ask for losses
    INTERFACES = 32             # most local addresses of a wildcard
    SPARES = 16                 # sockets for datagrams that the raw sender cannot send, by number modulo
    OUTER = 48                  # octets of an IPv6 and a UDP header
    # epoll's names; below FOREIGN: socket numbers
    FOREIGN = 0x40000000        # whatever else waits in this epoll: its owner looks after it
    WILDCARD = 0x80000000       # plus the index of an interface
    DOORBELL = 0xFFFFFFFF

cdef struct Socket:
    int fd                      # -1: another program has this port
    uint32_t turn               # that read it last
    uint32_t last_of            # transmit: its last packet in this burst
    # transmit: burst that last used it; 64 bits: a number that came round again would join strange packets
    uint64_t burst_of

cdef struct Local:              # an interface of a wildcard
    Peer address                # port 0
    int receiver
    int sender

cdef struct Spare:
    uint32_t number
    int fd                      # -1: none

cdef struct Wild:
    Numbering numbering         # interfaces is 0: no wildcard
    uint32_t worker
    uint8_t *steering           # worker + 1 by interface and port, 8 octets each: the BPF map itself
    Local locals[INTERFACES]
    Spare spares[SPARES]
    uint8_t headers[BATCH][OUTER]

# What outlives a worker at its place: how far it had come with reading. A system call that was begun is finished before
# a signal kills, and tells in `messages` (msg_namelen) what it took; so nothing is taken from a socket that a successor
# could not find here, whenever the worker died.
cdef struct Kept:
    uint64_t received           # COUNTER_RECEIVED before the turn that `messages` is of
    uint64_t overflows          # what Port.overflows said last
    uint32_t reach              # so many of `messages` were read into, or are about to be
    uint32_t reserved
    mmsghdr messages[BATCH]
    uint32_t overflowed[INTERFACES]     # last value of SO_RXQ_OVFL of each receiver of the wildcard

cdef enum:
    UNTOUCHED = 128             # in msg_namelen: sizeof(sockaddr_storage), which no datagram leaves there

cdef struct Udp:
    Port port                   # first: a Port * is a Udp *
    int epoll
    uint32_t turn
    uint32_t count              # of `sockets`
    Socket *sockets             # by socket number
    uint64_t burst
    uint8_t *frames             # BATCH frames
    Packet packets[BATCH]
    epoll_event events[BATCH]
    Kept *kept
    mmsghdr *incoming           # kept.messages
    uint32_t *overflowed        # by socket number: last value of SO_RXQ_OVFL; of all workers, as sockets move
    iovec incoming_data[BATCH]
    sockaddr_storage sources[BATCH]
    uint8_t control[BATCH][CONTROL]
    mmsghdr outgoing[BATCH]
    uint64_t marks[BATCH][4]    # control message with the TOS octet of each, where one is set
    iovec outgoing_data[2 * BATCH]
    sockaddr_storage destinations[BATCH]
    Wild wild

cdef inline void udp_describe(Udp *udp, uint32_t index, uint32_t number, uint32_t octets, uint64_t now) noexcept nogil:
    """The Packet of a datagram in frame `index`; `octets` is its length on the wire. The peer is the caller's."""
    cdef Packet *packet = &udp.packets[index]
    packet.data = udp.frames + <uint64_t>index * FRAME + HEADROOM
    packet.length = min(octets, DATAGRAM)
    packet.capacity = FRAME - HEADROOM
    packet.flow = number
    packet.crypto = NO_SLOT
    packet.drop = DROP_TOO_LONG if octets > DATAGRAM else DROP_NONE
    packet.kind = 0
    packet.marks = 0
    packet.received_ns = now

cdef inline void udp_reach(Udp *udp, uint32_t first, uint32_t depth) noexcept nogil:
    """Datagrams are about to come into messages from `first` on, so many at most."""
    cdef uint32_t i
    for i in range(first, first + depth):
        udp.incoming[i].msg_hdr.msg_namelen = UNTOUCHED
    store_release_u32(&udp.kept.reach, first + depth)

cdef class UdpPort(AnyPort):
    cdef Udp *udp
    cdef object keep            # what `wild` points into
    cdef object kept            # what `kept` and `overflowed` point into
    cdef open_kept(self, kept)
    cdef watch(self, int fd, uint32_t name, uint32_t events=*)
    cdef open_wildcard(self, wildcard)
