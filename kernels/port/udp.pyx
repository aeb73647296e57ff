# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `udp` port: per-port kernel sockets, epoll, as few system calls per packet as these allow.

    epoll_wait                one for up to 64 sockets that have something
    recvmsg | recvmmsg        one per socket; deeper reads only when few sockets are ready (a second look into an
                              empty queue costs a quarter of a receive, and level-triggered epoll tells again)
    sendto | sendmmsg         the burst is grouped by outgoing socket; one call per socket

Sending dominates (on loopback it includes the other side's receive path); nothing cheaper exists per
socket, and batching across sockets needs another port (io_uring measured no better, see FIGURES).
"""
from libc.errno cimport errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kernels.clib.linux cimport (
    CLOCK_MONOTONIC, CMSG_DATA, CMSG_FIRSTHDR, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN,
    MSG_DONTWAIT, MSG_TRUNC,
    SO_RXQ_OVFL, SOL_SOCKET, clock_ns, close, cmsghdr, epoll_create1, epoll_ctl, epoll_event, epoll_wait, mmsghdr,
    msghdr, read, recvmmsg, recvmsg, sendmmsg, sendto, sockaddr, sockaddr_storage, socklen_t,
)
from kernels.port.address cimport peer_read, peer_write
from kernels.port.port cimport AnyPort, Port
from kernels.port.udp cimport CONTROL, DEEPEST, DOORBELL, Udp
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_NONE, DROP_SEND, DROP_TOO_LONG, FRAME, HEADROOM, NO_SLOT, Packet


cdef uint32_t udp_receive(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil:
    """See port.pxd."""
    cdef Udp *udp = <Udp *>port
    cdef int ready = epoll_wait(udp.epoll, udp.events, BATCH, wait_ms)
    cdef uint32_t filled = 0
    cdef uint32_t depth, i
    cdef uint64_t now
    if ready <= 0:
        return 0
    now = clock_ns(CLOCK_MONOTONIC)
    room = min(room, BATCH)
    depth = max(1, min(DEEPEST, room // <uint32_t>ready))
    for i in range(<uint32_t>ready):
        if udp.events[i].data.u32 == DOORBELL:
            quiet_doorbell(udp)
        elif filled < room:
            filled += read_socket(udp, udp.events[i].data.u32, filled, min(depth, room - filled), now)
    for i in range(filled):
        batch[i] = &udp.packets[i]
    return filled


cdef void quiet_doorbell(Udp *udp) noexcept nogil:
    cdef uint64_t rings
    udp.port.rang = 1
    read(udp.doorbell, &rings, sizeof(rings))


cdef uint32_t read_socket(Udp *udp, uint32_t number, uint32_t first, uint32_t depth, uint64_t now) noexcept nogil:
    """Datagrams of one socket into the frames from `first` on; how many."""
    cdef mmsghdr *messages = &udp.incoming[first]
    cdef uint32_t i
    cdef ssize_t got
    for i in range(depth):
        messages[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
        messages[i].msg_hdr.msg_controllen = CONTROL
    if depth == 1:
        got = recvmsg(udp.fds[number], &messages.msg_hdr, MSG_DONTWAIT)
        if got < 0:
            return 0
        messages.msg_len = <unsigned int>got
        got = 1
    else:
        got = recvmmsg(udp.fds[number], messages, depth, MSG_DONTWAIT, NULL)
        if got < 0:
            return 0
    for i in range(<uint32_t>got):
        describe(udp, number, first + i, now)
    return <uint32_t>got


cdef void describe(Udp *udp, uint32_t number, uint32_t index, uint64_t now) noexcept nogil:
    """Fill the Packet of a received datagram."""
    cdef Packet *packet = &udp.packets[index]
    cdef mmsghdr *message = &udp.incoming[index]
    packet.data = udp.frames + <uint64_t>index * FRAME + HEADROOM
    packet.length = message.msg_len
    packet.capacity = FRAME - HEADROOM
    packet.flow = number
    packet.crypto = NO_SLOT
    packet.drop = DROP_TOO_LONG if message.msg_hdr.msg_flags & MSG_TRUNC else DROP_NONE
    packet.kind = 0
    packet.marks = 0
    packet.received_ns = now
    peer_read(&packet.peer, &udp.sources[index])
    if message.msg_hdr.msg_controllen:
        count_overflow(udp, number, &message.msg_hdr)


cdef void count_overflow(Udp *udp, uint32_t number, msghdr *message) noexcept nogil:
    """SO_RXQ_OVFL: how many this socket has lost so far (a running 32-bit number)."""
    cdef cmsghdr *header = CMSG_FIRSTHDR(message)
    cdef uint32_t lost
    if header == NULL or header.cmsg_level != SOL_SOCKET or header.cmsg_type != SO_RXQ_OVFL:
        return
    memcpy(&lost, CMSG_DATA(header), sizeof(lost))
    udp.port.overflows += <uint32_t>(lost - udp.overflowed[number])
    udp.overflowed[number] = lost


cdef void udp_transmit(Port *port, Packet **batch, uint32_t count) noexcept nogil:
    """See port.pxd. Packets of one socket are chained in order, then each chain is one system call."""
    cdef Udp *udp = <Udp *>port
    cdef uint32_t following[BATCH]
    cdef uint32_t firsts[BATCH]
    cdef uint32_t sockets = 0
    cdef uint32_t i, number
    udp.burst += 1
    for i in range(count):
        if batch[i].drop != DROP_NONE:
            continue
        following[i] = NO_SLOT
        number = batch[i].flow
        if udp.burst_of[number] != udp.burst:
            udp.burst_of[number] = udp.burst
            firsts[sockets] = i
            sockets += 1
        else:
            following[udp.last_of[number]] = i
        udp.last_of[number] = i
    for i in range(sockets):
        if following[firsts[i]] == NO_SLOT:
            send_one(udp, batch[firsts[i]])
        else:
            send_chain(udp, batch, following, firsts[i])


cdef void send_one(Udp *udp, Packet *packet) noexcept nogil:
    cdef sockaddr_storage name
    cdef socklen_t size = peer_write(&packet.peer, &name)
    if sendto(udp.fds[packet.flow], packet.data, packet.length, MSG_DONTWAIT, <sockaddr *>&name, size) < 0:
        packet.drop = DROP_SEND


cdef void send_chain(Udp *udp, Packet **batch, const uint32_t *following, uint32_t first) noexcept nogil:
    cdef uint32_t members[BATCH]
    cdef uint32_t count = 0
    cdef uint32_t done = 0
    cdef uint32_t i = first
    cdef int sent
    while i != NO_SLOT:
        members[count] = i
        udp.outgoing_data[count].iov_base = batch[i].data
        udp.outgoing_data[count].iov_len = batch[i].length
        udp.outgoing[count].msg_hdr.msg_namelen = peer_write(&batch[i].peer, &udp.destinations[count])
        count += 1
        i = following[i]
    while done < count:
        sent = sendmmsg(udp.fds[batch[first].flow], &udp.outgoing[done], count - done, MSG_DONTWAIT)
        if sent <= 0:                                   # the one at `done` was refused: drop it, go on
            batch[members[done]].drop = DROP_SEND
            sent = 1
        done += <uint32_t>sent


cdef void udp_release(Port *port) noexcept nogil:
    """Frames belong to places in the batch: nothing to give back."""


cdef void udp_serve(Port *port, uint32_t socket, bint on) noexcept nogil:
    """See port.pxd. What waits in the socket's queue is told by the epoll that reads it next."""
    cdef Udp *udp = <Udp *>port
    cdef epoll_event event
    event.events = EPOLLIN
    event.data.u32 = socket
    if socket < udp.sockets and udp.fds[socket] >= 0:
        epoll_ctl(udp.epoll, EPOLL_CTL_ADD if on else EPOLL_CTL_DEL, udp.fds[socket], &event)


cdef class UdpPort(AnyPort):
    """Sockets by number (`fds[i]` is socket i, of all workers), which of them this worker reads (None: all), and its
    doorbell. It may send from any.

    The descriptors stay the caller's. OSError when epoll refuses, MemoryError.
    """

    def __cinit__(self, list fds, int doorbell, own=None):
        cdef uint32_t count = len(fds)
        cdef Udp *udp = <Udp *>calloc(1, sizeof(Udp))
        if udp == NULL:
            raise MemoryError
        self.udp = udp
        self.port = &udp.port
        udp.port.receive = udp_receive
        udp.port.transmit = udp_transmit
        udp.port.release = udp_release
        udp.port.serve = udp_serve
        udp.doorbell = doorbell
        udp.sockets = count
        udp.fds = <int *>calloc(count + 1, sizeof(int))
        udp.overflowed = <uint32_t *>calloc(count + 1, sizeof(uint32_t))
        udp.burst_of = <uint64_t *>calloc(count + 1, sizeof(uint64_t))
        udp.last_of = <uint32_t *>calloc(count + 1, sizeof(uint32_t))
        udp.frames = <uint8_t *>calloc(BATCH, FRAME)
        udp.epoll = epoll_create1(EPOLL_CLOEXEC)
        if (udp.fds == NULL or udp.overflowed == NULL or udp.burst_of == NULL or udp.last_of == NULL
                or udp.frames == NULL):
            raise MemoryError
        if udp.epoll < 0:
            raise OSError(errno, "epoll_create1")
        udp.port.ready = udp.epoll
        prepare_messages(udp)
        for number, fd in enumerate(fds):
            udp.fds[number] = fd
            if fd >= 0 and (own is None or number in own):      # -1: another program holds this port
                self.watch(fd, number)
        self.watch(doorbell, DOORBELL)

    cdef watch(self, int fd, uint32_t name):
        cdef epoll_event event
        event.events = EPOLLIN
        event.data.u32 = name
        if epoll_ctl(self.udp.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, "epoll_ctl")

    def __dealloc__(self):
        cdef Udp *udp = self.udp
        if udp == NULL:
            return
        if udp.epoll > 0:
            close(udp.epoll)
        free(udp.fds)
        free(udp.overflowed)
        free(udp.burst_of)
        free(udp.last_of)
        free(udp.frames)
        free(udp)


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
        udp.outgoing[i].msg_hdr.msg_iov = &udp.outgoing_data[i]
        udp.outgoing[i].msg_hdr.msg_iovlen = 1
        udp.outgoing[i].msg_hdr.msg_name = &udp.destinations[i]
