# cython: cdivision=True
# A wildcard: one receiver for all media ports of a local address (a BPF sk_lookup program steers them there, see
# bpf/sk_lookup.bpf.c), one raw sender for all of them. A burst is one system call each way and address.
from libc.errno cimport EMSGSIZE, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.clib.linux cimport (
    AF_INET, AF_INET6, CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, IP_ORIGDSTADDR, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP,
    IPV6_ORIGDSTADDR, IPV6_V6ONLY, MSG_DONTWAIT, MSG_TRUNC, SO_RXQ_OVFL, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK,
    SOL_SOCKET, bind, close, cmsghdr, mmsghdr, msghdr, recvmmsg, sendmmsg, setsockopt, sockaddr, sockaddr_storage,
    socket, socklen_t,
)
from kernels.port.address cimport peer_read, peer_write
from kernels.port.numbering cimport Numbering, numbering_interface, numbering_number, numbering_port, numbering_span
from kernels.port.udp cimport CONTROL, SPARES, Local, Spare, Udp, udp_describe, udp_reach
from kernels.port.udp_sockets cimport sockets_overflowed, sockets_send_one
from kernels.wire.checksum cimport checksum_add, checksum_end, checksum_pseudo
from kernels.wire.octets cimport store_be16
from kernels.wire.packet cimport BATCH, DROP_NO_FLOW, DROP_NONE, DROP_SEND, NO_SLOT, Packet, Peer

cdef enum:
    IPV4_OCTETS = 20
    IPV6_OCTETS = 40
    UDP_OCTETS = 8
    HOPS = 64
    DO_NOT_FRAGMENT = 0x40      # as UDP sockets have it (path MTU discovery)
    STRIDE = 8                  # octets of an entry of a BPF array

# -- receiving ---------------------------------------------------------------------------------------------------------

cdef inline uint32_t wildcard_read(
        Udp *udp, uint32_t interface, uint32_t first, uint32_t room, uint64_t now) noexcept nogil:
    """Datagrams for any port of an address into the frames from `first` on; how many."""
    cdef Local *local = &udp.wild.locals[interface]
    cdef mmsghdr *messages = &udp.incoming[first]
    cdef uint32_t i, port, number
    cdef int got
    for i in range(room):
        messages[i].msg_hdr.msg_controllen = CONTROL
    udp_reach(udp, first, room)
    got = recvmmsg(local.receiver, messages, room, MSG_DONTWAIT | MSG_TRUNC, NULL)
    if got < 0:
        return 0
    for i in range(<uint32_t>got):
        port = wildcard_control(udp, local, &messages[i].msg_hdr, &udp.kept.overflowed[interface])
        number = numbering_number(&udp.wild.numbering, interface, port)
        udp_describe(udp, first + i, number, messages[i].msg_len, now)
        peer_read(&udp.packets[first + i].peer, &udp.sources[first + i])
        if number == NO_SLOT:                           # a local program wrote to the receiver's own loopback port
            udp.packets[first + i].flow = udp.wild.worker * udp.wild.numbering.interfaces * udp.wild.numbering.share
            udp.packets[first + i].drop = DROP_NO_FLOW
    return <uint32_t>got

cdef inline uint32_t wildcard_control(
        Udp *udp, const Local *local, msghdr *message, uint32_t *overflowed) noexcept nogil:
    """The port of our address that a datagram was sent to, 0: unknown, or another address. Losses are counted."""
    cdef cmsghdr *header = CMSG_FIRSTHDR(message)
    cdef uint32_t port = 0
    cdef Peer to
    while header != NULL:
        if header.cmsg_level == SOL_SOCKET and header.cmsg_type == SO_RXQ_OVFL:
            sockets_overflowed(udp, header, overflowed)
        elif (header.cmsg_level == IPPROTO_IP and header.cmsg_type == IP_ORIGDSTADDR
              or header.cmsg_level == IPPROTO_IPV6 and header.cmsg_type == IPV6_ORIGDSTADDR):
            peer_read(&to, <const sockaddr_storage *>CMSG_DATA(header))
            # a local program may write to the receiver's own loopback port, which may be the number of a media port
            port = to.port if memcmp(to.ip, local.address.ip, sizeof(to.ip)) == 0 else 0
        header = CMSG_NXTHDR(message, header)
    return port

cdef inline void wildcard_serve(Udp *udp, uint32_t number) noexcept nogil:
    """A call has moved here: steer the port's next packets to this worker. What the worker before has queued comes by
    the hand-off ring, so a few packets may pass each other."""
    cdef Numbering *numbering = &udp.wild.numbering
    cdef uint64_t entry = numbering_interface(numbering, number)
    entry = (entry * numbering_span(numbering) + numbering_port(numbering, number)
             - numbering.first[<uint32_t>entry])
    if udp.wild.steering[STRIDE * entry]:               # 0: another program's port
        udp.wild.steering[STRIDE * entry] = <uint8_t>(udp.wild.worker + 1)

# -- sending -----------------------------------------------------------------------------------------------------------

cdef inline void wildcard_send(Udp *udp, Packet **batch, uint32_t count) noexcept nogil:
    """One sendmmsg for each local address that something leaves by; the order of each is kept."""
    cdef uint32_t leaves_by[BATCH]
    cdef uint32_t seen = 0
    cdef uint32_t interface = 0
    cdef uint32_t i
    for i in range(count):
        if batch[i].drop == DROP_NONE:
            leaves_by[i] = numbering_interface(&udp.wild.numbering, batch[i].flow)
            seen |= <uint32_t>1 << leaves_by[i]
    while seen:
        if seen & 1:
            wildcard_send_by(udp, interface, batch, leaves_by, count)
        seen >>= 1
        interface += 1

cdef inline void wildcard_send_by(
        Udp *udp, uint32_t interface, Packet **batch, const uint32_t *leaves_by, uint32_t count) noexcept nogil:
    cdef Local *local = &udp.wild.locals[interface]
    cdef Packet *members[BATCH]
    cdef uint32_t filled = 0
    cdef uint32_t done = 0
    cdef uint32_t i
    cdef int sent
    for i in range(count):
        if batch[i].drop == DROP_NONE and leaves_by[i] == interface and wildcard_wrap(udp, local, batch[i], filled):
            members[filled] = batch[i]
            filled += 1
    while done < filled:
        sent = sendmmsg(local.sender, &udp.outgoing[done], filled - done, MSG_DONTWAIT)
        if sent <= 0:                                   # the one at `done` was refused
            if errno == EMSGSIZE:
                wildcard_send_long(udp, local, members[done])
            else:
                members[done].drop = DROP_SEND
            sent = 1
        done += <uint32_t>sent

cdef inline bint wildcard_wrap(Udp *udp, Local *local, Packet *packet, uint32_t place) noexcept nogil:
    """Message `place`: IP and UDP header before a packet. False, and a drop: an address of another family."""
    cdef uint8_t *header = &udp.wild.headers[place][0]
    cdef uint32_t octets = IPV4_OCTETS if local.address.family == 4 else IPV6_OCTETS
    cdef Peer to = packet.peer
    if to.family != local.address.family:
        packet.drop = DROP_SEND
        return False
    if to.family == 4:
        wildcard_ipv4(header, local, packet)
    else:
        wildcard_ipv6(header, local, packet)
    wildcard_udp(header + octets, local, packet, numbering_port(&udp.wild.numbering, packet.flow))
    udp.outgoing_data[2 * place].iov_base = header
    udp.outgoing_data[2 * place].iov_len = octets + UDP_OCTETS
    udp.outgoing_data[2 * place + 1].iov_base = packet.data
    udp.outgoing_data[2 * place + 1].iov_len = packet.length
    udp.outgoing[place].msg_hdr.msg_iov = &udp.outgoing_data[2 * place]
    udp.outgoing[place].msg_hdr.msg_iovlen = 2
    to.port = 0                                         # a raw socket takes it for a protocol number
    udp.outgoing[place].msg_hdr.msg_namelen = peer_write(&to, &udp.destinations[place])
    return True

cdef inline void wildcard_ipv4(uint8_t *header, const Local *local, const Packet *packet) noexcept nogil:
    """RFC 791 section 3.1; the kernel fills in identification and header checksum."""
    memset(header, 0, IPV4_OCTETS)
    header[0] = 0x45
    header[1] = packet.peer.tos
    store_be16(header + 2, <uint16_t>(IPV4_OCTETS + UDP_OCTETS + packet.length))
    header[6] = DO_NOT_FRAGMENT
    header[8] = HOPS
    header[9] = IPPROTO_UDP
    memcpy(header + 12, local.address.ip, 4)
    memcpy(header + 16, packet.peer.ip, 4)

cdef inline void wildcard_ipv6(uint8_t *header, const Local *local, const Packet *packet) noexcept nogil:
    """RFC 8200 section 3."""
    memset(header, 0, 8)
    header[0] = 0x60 | packet.peer.tos >> 4
    header[1] = <uint8_t>(packet.peer.tos << 4)
    store_be16(header + 4, <uint16_t>(UDP_OCTETS + packet.length))
    header[6] = IPPROTO_UDP
    header[7] = HOPS
    memcpy(header + 8, local.address.ip, 16)
    memcpy(header + 24, packet.peer.ip, 16)

cdef inline void wildcard_udp(uint8_t *header, const Local *local, const Packet *packet, uint16_t port) noexcept nogil:
    """RFC 768, behind an IP header that is complete, with its checksum: optional in IPv4, mandatory in IPv6."""
    cdef uint32_t addresses = 8 if local.address.family == 4 else 32        # both, at the end of the IP header
    cdef uint16_t checksum
    cdef uint64_t total = checksum_pseudo(header - addresses, addresses, UDP_OCTETS + packet.length)
    store_be16(header, port)
    store_be16(header + 2, packet.peer.port)
    store_be16(header + 4, <uint16_t>(UDP_OCTETS + packet.length))
    header[6] = header[7] = 0
    total = checksum_add(total, header, UDP_OCTETS)
    checksum = checksum_end(checksum_add(total, packet.data, packet.length))
    memcpy(header + 6, &checksum, 2)

# -- what the raw sender cannot send -----------------------------------------------------------------------------------

cdef inline void wildcard_send_long(Udp *udp, const Local *local, Packet *packet) noexcept nogil:
    """Longer than the path takes in one piece: a UDP socket bound to the port lets the kernel cut it into fragments. A
    few such sockets stay open; what arrives for their ports is steered to the receiver all the same."""
    cdef Spare *spare = &udp.wild.spares[packet.flow % SPARES]
    if spare.fd < 0 or spare.number != packet.flow:
        if spare.fd >= 0:
            close(spare.fd)
        spare.number = packet.flow
        spare.fd = wildcard_spare(local, numbering_port(&udp.wild.numbering, packet.flow))
    if spare.fd < 0:
        packet.drop = DROP_SEND
    else:
        sockets_send_one(spare.fd, packet)

cdef inline int wildcard_spare(const Local *local, uint16_t port) noexcept nogil:
    """A socket bound to a media port, -1: none to be had."""
    cdef sockaddr_storage name
    cdef Peer at = local.address
    cdef int one = 1
    cdef int family = AF_INET if at.family == 4 else AF_INET6
    cdef int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    cdef socklen_t size
    at.port = port
    size = peer_write(&at, &name)
    if fd < 0:
        return -1
    if family == AF_INET6:
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))
    if bind(fd, <sockaddr *>&name, size) < 0:
        close(fd)
        return -1
    return fd
