# cython: cdivision=True
# A socket for each local port: one system call per socket that is ready, one per socket that sends.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.clib.linux cimport (
    CMSG_DATA, CMSG_FIRSTHDR, CMSG_LEN, CMSG_NXTHDR, CMSG_SPACE, IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP,
    IPV6_TCLASS, MSG_DONTWAIT, MSG_TRUNC, SO_RXQ_OVFL, SOL_SOCKET, UDP_SEGMENT, cmsghdr, iovec, mmsghdr, msghdr,
    recvfrom, recvmmsg, sendmmsg, sendmsg, sendto, sockaddr, sockaddr_storage, socklen_t,
)
from kernels.port.address cimport peer_read, peer_write
from kernels.port.udp cimport CONTROL, DEEPEST, LISTEN, Socket, Udp, udp_describe, udp_reach
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_NONE, DROP_SEND, NO_SLOT, Packet, Peer

cdef enum:
    MOST_AT_ONCE = 65000        # octets that UDP_SEGMENT may cut up: they are one datagram until then

# -- receiving ---------------------------------------------------------------------------------------------------------

cdef inline uint32_t sockets_read(
        Udp *udp, uint32_t number, uint32_t first, uint32_t room, uint64_t now) noexcept nogil:
    """Datagrams of one socket into the frames from `first` on; how many.

    A socket that was ready in the turn before too has a queue: it is read deep. Otherwise one datagram, by the cheapest
    call there is: a second look into an empty queue costs a quarter of a receive.
    """
    cdef Socket *socket = &udp.sockets[number]
    cdef uint32_t depth = min(DEEPEST, room) if socket.turn + 1 == udp.turn else 1
    socket.turn = udp.turn
    if depth == 1 and udp.turn % LISTEN:
        return sockets_read_one(udp, number, first, now)
    return sockets_read_deep(udp, number, first, depth, now)

cdef inline uint32_t sockets_read_one(Udp *udp, uint32_t number, uint32_t index, uint64_t now) noexcept nogil:
    cdef ssize_t got
    udp_reach(udp, index, 1)
    got = recvfrom(
        udp.sockets[number].fd, udp.incoming_data[index].iov_base, DATAGRAM, MSG_DONTWAIT | MSG_TRUNC,
        <sockaddr *>&udp.sources[index], &udp.incoming[index].msg_hdr.msg_namelen)
    if got < 0:
        return 0
    udp_describe(udp, index, number, <uint32_t>got, now)
    peer_read(&udp.packets[index].peer, &udp.sources[index])
    return 1

cdef inline uint32_t sockets_read_deep(
        Udp *udp, uint32_t number, uint32_t first, uint32_t depth, uint64_t now) noexcept nogil:
    cdef mmsghdr *messages = &udp.incoming[first]
    cdef uint32_t i
    cdef int got
    for i in range(depth):
        messages[i].msg_hdr.msg_controllen = CONTROL
    udp_reach(udp, first, depth)
    got = recvmmsg(udp.sockets[number].fd, messages, depth, MSG_DONTWAIT | MSG_TRUNC, NULL)
    if got < 0:
        return 0
    for i in range(<uint32_t>got):
        udp_describe(udp, first + i, number, messages[i].msg_len, now)
        peer_read(&udp.packets[first + i].peer, &udp.sources[first + i])
        if messages[i].msg_hdr.msg_controllen:
            sockets_control(udp, &messages[i].msg_hdr, &udp.overflowed[number])
    return <uint32_t>got

cdef inline void sockets_control(Udp *udp, msghdr *message, uint32_t *overflowed) noexcept nogil:
    """SO_RXQ_OVFL, if it came with the datagram."""
    cdef cmsghdr *header = CMSG_FIRSTHDR(message)
    while header != NULL:
        if header.cmsg_level == SOL_SOCKET and header.cmsg_type == SO_RXQ_OVFL:
            sockets_overflowed(udp, header, overflowed)
        header = CMSG_NXTHDR(message, header)

cdef inline void sockets_overflowed(Udp *udp, cmsghdr *header, uint32_t *overflowed) noexcept nogil:
    """How many this socket has lost so far, a running 32-bit number."""
    cdef uint32_t lost
    memcpy(&lost, CMSG_DATA(header), sizeof(lost))
    udp.port.overflows += <uint32_t>(lost - overflowed[0])
    udp.kept.overflows = udp.port.overflows
    overflowed[0] = lost

# -- sending -----------------------------------------------------------------------------------------------------------

cdef inline void sockets_send(Udp *udp, Packet **batch, uint32_t count) noexcept nogil:
    """Packets of one socket are chained in order, then each chain is one system call."""
    cdef uint32_t following[BATCH]
    cdef uint32_t firsts[BATCH]
    cdef uint32_t chains = 0
    cdef uint32_t i
    cdef Socket *socket
    udp.burst += 1
    for i in range(count):
        if batch[i].drop != DROP_NONE:
            continue
        following[i] = NO_SLOT
        socket = &udp.sockets[batch[i].flow]
        if socket.burst_of != udp.burst:
            socket.burst_of = udp.burst
            firsts[chains] = i
            chains += 1
        else:
            following[socket.last_of] = i
        socket.last_of = i
    for i in range(chains):
        if following[firsts[i]] == NO_SLOT:
            sockets_send_one(udp.sockets[batch[firsts[i]].flow].fd, batch[firsts[i]])
        else:
            sockets_send_chain(udp, batch, following, firsts[i])

cdef inline void sockets_send_one(int fd, Packet *packet) noexcept nogil:
    cdef sockaddr_storage name
    cdef socklen_t size = peer_write(&packet.peer, &name)
    if packet.peer.tos:
        sockets_send_marked(fd, packet, &name, size)
    elif sendto(fd, packet.data, packet.length, MSG_DONTWAIT, <sockaddr *>&name, size) < 0:
        packet.drop = DROP_SEND

cdef inline void sockets_send_marked(int fd, Packet *packet, sockaddr_storage *name, socklen_t size) noexcept nogil:
    """One with a TOS octet of its own; its socket may carry other flows' packets next (a spare of the wildcard)."""
    cdef uint64_t control[8]
    cdef msghdr message
    cdef iovec data
    data.iov_base, data.iov_len = packet.data, packet.length
    memset(&message, 0, sizeof(message))
    message.msg_name, message.msg_namelen = name, size
    message.msg_iov, message.msg_iovlen = &data, 1
    message.msg_control = control
    message.msg_controllen = sizeof(control)
    message.msg_controllen = sockets_mark(CMSG_FIRSTHDR(&message), &packet.peer)
    if sendmsg(fd, &message, MSG_DONTWAIT) < 0:
        packet.drop = DROP_SEND

cdef inline size_t sockets_mark(cmsghdr *header, const Peer *to) noexcept nogil:
    """The control message that sets the TOS octet; its length."""
    cdef int value = to.tos
    header.cmsg_level = IPPROTO_IP if to.family == 4 else IPPROTO_IPV6
    header.cmsg_type = IP_TOS if to.family == 4 else IPV6_TCLASS
    header.cmsg_len = CMSG_LEN(sizeof(value))
    memcpy(CMSG_DATA(header), &value, sizeof(value))
    return CMSG_SPACE(sizeof(value))

cdef inline void sockets_send_chain(Udp *udp, Packet **batch, const uint32_t *following, uint32_t first) noexcept nogil:
    cdef Packet *members[BATCH]
    cdef uint32_t count = 0
    cdef uint32_t done = 0
    cdef uint32_t i = first
    cdef int fd = udp.sockets[batch[first].flow].fd
    cdef int sent
    while i != NO_SLOT:
        members[count] = batch[i]
        count += 1
        i = following[i]
    sockets_lay_out(udp, members, count)
    if sockets_alike(members, count) and sockets_send_segments(udp, fd, members[0], count):
        return
    while done < count:
        sent = sendmmsg(fd, &udp.outgoing[done], count - done, MSG_DONTWAIT)
        if sent <= 0:                                   # the one at `done` was refused: drop it, go on
            members[done].drop = DROP_SEND
            sent = 1
        done += <uint32_t>sent

cdef inline void sockets_lay_out(Udp *udp, Packet **members, uint32_t count) noexcept nogil:
    """A message per packet; their data are one array of iovec, as a single message wants it."""
    cdef uint32_t i
    for i in range(count):
        udp.outgoing_data[i].iov_base = members[i].data
        udp.outgoing_data[i].iov_len = members[i].length
        udp.outgoing[i].msg_hdr.msg_iov = &udp.outgoing_data[i]
        udp.outgoing[i].msg_hdr.msg_iovlen = 1
        udp.outgoing[i].msg_hdr.msg_namelen = peer_write(&members[i].peer, &udp.destinations[i])
        udp.outgoing[i].msg_hdr.msg_control = NULL
        udp.outgoing[i].msg_hdr.msg_controllen = 0
        if members[i].peer.tos:
            udp.outgoing[i].msg_hdr.msg_control = udp.marks[i]
            udp.outgoing[i].msg_hdr.msg_controllen = sockets_mark(<cmsghdr *>udp.marks[i], &members[i].peer)

cdef inline bint sockets_alike(Packet **members, uint32_t count) noexcept nogil:
    """One destination, one length, only the last may be shorter: a burst of video, or a stream that catches up."""
    cdef uint32_t octets = members[0].length
    cdef uint32_t i
    if octets == 0 or octets * count > MOST_AT_ONCE or members[count - 1].length == 0:
        return False
    for i in range(1, count):
        if members[i].length > octets or (members[i].length < octets and i + 1 < count):
            return False
        if memcmp(&members[i].peer, &members[0].peer, sizeof(Peer)) != 0:
            return False
    return True

cdef inline bint sockets_send_segments(Udp *udp, int fd, const Packet *longest, uint32_t count) noexcept nogil:
    """All in one go through the kernel (UDP_SEGMENT), which cuts them apart again. False: refused, nothing was sent (no
    route, longer than the path takes, a device that cannot): one by one will say which and why."""
    cdef uint64_t control[8]
    cdef msghdr message
    cdef cmsghdr *header
    cdef uint16_t segment = <uint16_t>longest.length
    memset(&message, 0, sizeof(message))
    message.msg_name = &udp.destinations[0]
    message.msg_namelen = udp.outgoing[0].msg_hdr.msg_namelen
    message.msg_iov = &udp.outgoing_data[0]
    message.msg_iovlen = count
    message.msg_control = control
    message.msg_controllen = CMSG_SPACE(sizeof(segment))
    header = CMSG_FIRSTHDR(&message)
    header.cmsg_level = IPPROTO_UDP
    header.cmsg_type = UDP_SEGMENT
    header.cmsg_len = CMSG_LEN(sizeof(segment))
    memcpy(CMSG_DATA(header), &segment, sizeof(segment))
    if longest.peer.tos:
        header = <cmsghdr *>(<uint8_t *>control + message.msg_controllen)
        message.msg_controllen += sockets_mark(header, &longest.peer)
    return sendmsg(fd, &message, MSG_DONTWAIT) >= 0
