# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `udp` port: kernel sockets, as few system calls per packet as they allow. Two kinds, one epoll:

    a socket per port   epoll_wait, then one call per socket that is ready; a burst goes out by one call per socket
                        (udp_sockets.pxd). Works for everybody.
    wildcard            epoll_wait, then recvmmsg for up to 64 datagrams whatever their port; a burst goes out by one
                        sendmmsg per local address (wildcard.pxd). The holder opens it with privileges.

Sending dominates: on loopback and veth it includes the other side's receive path (figures: docs/performance.md).
"""
from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from kernels.clib.linux cimport (
    CLOCK_MONOTONIC, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET, EPOLLIN, clock_ns, close, epoll_create1,
    epoll_ctl, epoll_event, epoll_wait,
)
from kernels.flow.counters cimport COUNTER_RECEIVED, counted
from kernels.port.address cimport peer_parse
from kernels.port.numbering cimport numbering_fill, numbering_span
from kernels.port.port cimport AnyPort, Port
from kernels.port.udp cimport DOORBELL, FOREIGN, INTERFACES, SPARES, UNTOUCHED, WILDCARD, Kept, Local, Socket, Udp
from kernels.port.udp_sockets cimport sockets_read, sockets_send
from kernels.port.wildcard cimport STRIDE, wildcard_read, wildcard_send, wildcard_serve
from kernels.wire.atomics cimport store_release_u32
from kernels.wire.packet cimport BATCH, DATAGRAM, FRAME, HEADROOM, Packet

import mmap


cdef uint32_t udp_receive(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil:
    """See port.pxd."""
    cdef Udp *udp = <Udp *>port
    cdef int ready = epoll_wait(udp.epoll, udp.events, BATCH, wait_ms)
    cdef uint32_t filled = 0
    cdef uint32_t share, i
    cdef uint64_t now
    if ready <= 0:
        return 0
    now = clock_ns(CLOCK_MONOTONIC)
    udp.turn += 1
    kept_begin(udp)
    room = min(room, BATCH)
    share = max(1, room // <uint32_t>ready)
    for i in range(<uint32_t>ready):
        filled += udp_read(udp, udp.events[i].data.u32, filled, min(share, room - filled), now)
    for i in range(filled):
        batch[i] = &udp.packets[i]
    return filled


cdef inline void kept_begin(Udp *udp) noexcept nogil:
    """What was read before is counted by now."""
    store_release_u32(&udp.kept.reach, 0)
    if udp.port.counters != NULL:
        udp.kept.received = counted(udp.port.counters, COUNTER_RECEIVED)


cdef uint32_t udp_read(Udp *udp, uint32_t name, uint32_t first, uint32_t room, uint64_t now) noexcept nogil:
    """What epoll says is ready, by its name; how many datagrams came."""
    if name == DOORBELL or room == 0:
        return 0                                        # that was its purpose; epoll tells of sockets again
    elif name & WILDCARD:
        return wildcard_read(udp, name & ~<uint32_t>WILDCARD, first, room, now)
    elif name < FOREIGN:
        return sockets_read(udp, name, first, room, now)
    return 0


cdef void udp_transmit(Port *port, Packet **batch, uint32_t count) noexcept nogil:
    """See port.pxd."""
    cdef Udp *udp = <Udp *>port
    if udp.wild.numbering.interfaces:
        wildcard_send(udp, batch, count)
    else:
        sockets_send(udp, batch, count)


cdef void udp_release(Port *port) noexcept nogil:
    """Frames belong to places in the batch: nothing to give back."""


cdef void udp_serve(Port *port, uint32_t socket, bint on) noexcept nogil:
    """See port.pxd. What waits in the socket's queue is told by the epoll that reads it next."""
    cdef Udp *udp = <Udp *>port
    cdef epoll_event event
    event.events = EPOLLIN
    event.data.u32 = socket
    if udp.wild.numbering.interfaces:
        if on:
            wildcard_serve(udp, socket)
    elif socket < udp.count and udp.sockets[socket].fd >= 0:
        epoll_ctl(udp.epoll, EPOLL_CTL_ADD if on else EPOLL_CTL_DEL, udp.sockets[socket].fd, &event)


cdef class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i, of all workers), which of them this worker reads (None: all), and its
    doorbell. It may send from any. With a `wildcard` (kernels.port.steering.Wildcard) there are no sockets by number.
    `kept`: of its place, by `keep`; without it nothing is known of a predecessor.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError, ValueError.
    """

    def __cinit__(self, list fds, int doorbell, own=None, wildcard=None, kept=None):
        cdef Udp *udp = <Udp *>calloc(1, sizeof(Udp))
        cdef uint32_t i
        if udp == NULL:
            raise MemoryError
        self.udp = udp
        self.port = &udp.port
        udp.port.receive = udp_receive
        udp.port.transmit = udp_transmit
        udp.port.release = udp_release
        udp.port.serve = udp_serve
        udp.count = len(fds)
        for i in range(SPARES):
            udp.wild.spares[i].fd = -1
        udp.sockets = <Socket *>calloc(udp.count + 1, sizeof(Socket))
        udp.frames = <uint8_t *>calloc(BATCH, FRAME)
        udp.epoll = epoll_create1(EPOLL_CLOEXEC)
        if udp.sockets == NULL or udp.frames == NULL:
            raise MemoryError
        if udp.epoll < 0:
            raise OSError(errno, "epoll_create1")
        udp.port.ready = udp.epoll
        self.open_kept(kept or keep(1, udp.count)[0])
        prepare_messages(udp)
        for number, fd in enumerate(fds):
            udp.sockets[number].fd = fd
            if fd >= 0 and (own is None or number in own):      # -1: another program holds this port
                self.watch(fd, number)
        if wildcard is not None:
            self.open_wildcard(wildcard)
        self.watch(doorbell, DOORBELL, EPOLLIN | EPOLLET)           # wakes for each ring, and need not be read

    cdef watch(self, int fd, uint32_t name, uint32_t events=EPOLLIN):
        """Wake up when `fd` is readable. Names from FOREIGN on are passed over: whoever added them looks himself."""
        cdef epoll_event event
        event.events = events
        event.data.u32 = name
        if epoll_ctl(self.udp.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, "epoll_ctl")

    cdef open_kept(self, kept):
        """Take note of what a predecessor left, and go on from there."""
        cdef Udp *udp = self.udp
        cdef uint8_t[::1] mine = kept[0], sockets = kept[1]
        cdef uint32_t i
        if len(mine) < sizeof(Kept) or len(sockets) < udp.count * sizeof(uint32_t):
            raise ValueError("kept for fewer sockets")
        self.kept = (mine, sockets)
        udp.kept, udp.overflowed = <Kept *>&mine[0], <uint32_t *>&sockets[0]
        udp.incoming = udp.kept.messages
        udp.port.overflows = udp.kept.overflows
        udp.port.cut_received = udp.kept.received
        for i in range(min(udp.kept.reach, BATCH)):
            if udp.incoming[i].msg_hdr.msg_namelen != UNTOUCHED:
                udp.port.cut_taken += 1

    cdef open_wildcard(self, wildcard):
        """Take over what kernels.port.steering.Wildcard describes."""
        cdef Udp *udp = self.udp
        cdef Local *local
        cdef uint32_t index
        cdef uint8_t[::1] entries
        if not 0 < len(wildcard.addresses) <= INTERFACES:
            raise ValueError(f"a wildcard has 1 to {INTERFACES} addresses")
        udp.wild.worker = wildcard.worker
        numbering_fill(&udp.wild.numbering, wildcard.ports, wildcard.workers)
        for index, address in enumerate(wildcard.addresses):
            local = &udp.wild.locals[index]
            local.address = peer_parse(address, 1)
            local.address.port = 0
            local.receiver, local.sender = wildcard.receivers[index], wildcard.senders[index]
            self.watch(local.receiver, WILDCARD | index)
        entries = wildcard.steering
        if len(entries) < STRIDE * len(wildcard.addresses) * numbering_span(&udp.wild.numbering):
            raise ValueError("steering is shorter than the media ports")
        udp.wild.steering = &entries[0]
        self.keep = (wildcard, entries)

    def __dealloc__(self):
        cdef Udp *udp = self.udp
        cdef uint32_t i
        if udp == NULL:
            return
        if udp.epoll > 0:
            close(udp.epoll)
        for i in range(SPARES):
            if udp.wild.spares[i].fd >= 0:
                close(udp.wild.spares[i].fd)
        free(udp.sockets)
        free(udp.frames)
        free(udp)


def keep(int places, int sockets):
    """Memory that outlives the ports of so many places, to be made before they are forked: a pair for each."""
    shared = mmap.mmap(-1, max(1, sockets) * sizeof(uint32_t))
    return [(mmap.mmap(-1, sizeof(Kept)), shared) for _ in range(places)]


cdef void prepare_messages(Udp *udp) noexcept:
    """What of the message headers never changes."""
    cdef uint32_t i
    for i in range(BATCH):
        udp.incoming_data[i].iov_base = udp.frames + <uint64_t>i * FRAME + HEADROOM
        udp.incoming_data[i].iov_len = DATAGRAM
        udp.incoming[i].msg_hdr.msg_iov = &udp.incoming_data[i]
        udp.incoming[i].msg_hdr.msg_iovlen = 1
        udp.incoming[i].msg_hdr.msg_name = &udp.sources[i]
        udp.incoming[i].msg_hdr.msg_control = &udp.control[i][0]
        udp.outgoing[i].msg_hdr.msg_name = &udp.destinations[i]
