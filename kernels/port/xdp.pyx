# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `xdp` port: frames from AF_XDP rings, datagrams out through them, no copy in between.

    receive     look into the rings; every LOOK_NS, and whenever they are empty, into the kernel sockets as well
    read        Ethernet .. UDP, checksums, local address and port -> socket number; what is wrong is a named drop
    transmit    next hop known, fits the MTU, ring alive: headers in front of the datagram where it is, a descriptor;
                one system call per ring and burst, and only when the kernel asks for it. Else: the kernel socket
    release     frames that did not leave are free again

A burst's frames belong to the worker until `release`; rings.pxd says how they survive its death.
"""
from libc.errno cimport EAGAIN, EBUSY, ENOBUFS, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from kernels.clib.libxdp cimport (
    SOL_XDP, XDP_STATISTICS, xdp_desc, xdp_statistics, xsk_ring_cons__peek, xsk_ring_cons__release,
    xsk_ring_cons__rx_desc, xsk_ring_prod__needs_wakeup, xsk_ring_prod__reserve, xsk_ring_prod__submit,
    xsk_ring_prod__tx_desc,
)
from kernels.clib.linux cimport (
    CLOCK_MONOTONIC, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, MSG_DONTWAIT, clock_ns, close, epoll_create1, epoll_ctl,
    epoll_event, epoll_wait, getsockopt, recvfrom, sendto, socklen_t,
)
from kernels.flow.counters cimport (
    COUNTER_RING_FULL, COUNTER_RING_LOST, COUNTER_RING_SENT, count,
)
from kernels.port.address cimport peer_parse
from kernels.port.nexthop cimport NextHop, NextHops, next_hop_find, wanted_note
from kernels.port.numbering cimport numbering_fill, numbering_interface, numbering_number, numbering_port
from kernels.port.port cimport AnyPort, Port
from kernels.port.rings cimport (
    OWNER_SEND, address_of, base_of, fill_up, frame_free, frame_of, frame_take_back, place_of, reap, rings_recover,
    unsent,
)
from kernels.port.xdp cimport (
    DEAD_NS, INNER, KICKS, LOOK_NS, MOST_DEVICES, MOST_LOCALS, NO_DEVICE, STATISTICS_NS, Local, Xdp,
)
from kernels.port.xsk cimport LEAD, LONGEST_FRAME, MOST_XSKS, PAGE_STRIDE, STRIDE, Rings, Xsk
from kernels.wire.frame cimport Seen, frame_headers, frame_read, frame_write
from kernels.wire.packet cimport (
    BATCH, DROP_NONE, DROP_SEND, NO_SLOT, Packet, Peer,
)


# -- receive ---------------------------------------------------------------------------------------------

cdef uint32_t xdp_receive(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil:
    """See port.pxd."""
    cdef Xdp *x = <Xdp *>port
    cdef uint32_t filled
    cdef bint due
    x.now = clock_ns(CLOCK_MONOTONIC)
    room = min(room, BATCH)
    tend(x)
    due = x.now - x.looked_ns >= LOOK_NS
    filled = read_rings(x, batch, room - room // 4 if due else room)        # full rings leave the sockets a share
    if filled == 0:
        wait(x, wait_ms)
        x.now = clock_ns(CLOCK_MONOTONIC)
        filled = read_rings(x, batch, room - room // 4)
        due = True
    x.port.from_rings = filled
    if due:
        x.looked_ns = x.now
        x.inner.counters = port.counters
        filled += x.inner.receive(x.inner, batch + filled, room - filled, 0)
        port.overflows = x.inner.overflows
    return filled


cdef void wait(Xdp *x, int wait_ms) noexcept nogil:
    """Until a ring or the other port has something; briefly when the kernel still has to be told of what we send."""
    cdef uint32_t i
    for i in range(x.pool.count):
        if unsent(&x.pool.xsks[i]):
            wait_ms = min(wait_ms, 1)
    if x.busy:
        for i in range(x.pool.count):
            recvfrom(x.pool.xsks[i].fd, NULL, 0, MSG_DONTWAIT, NULL, NULL)
        wait_ms = min(wait_ms, 1)
    epoll_wait(x.epoll, x.events, MOST_XSKS + 1, wait_ms)


cdef void tend(Xdp *x) noexcept nogil:
    """Take back sent frames, refill, tell the kernel of what it has not taken yet, count what it lost."""
    cdef uint32_t i
    cdef Xsk *xsk
    cdef bint look = x.now - x.statistics_ns >= STATISTICS_NS
    for i in range(x.pool.count):
        xsk = &x.pool.xsks[i]
        reap(&x.pool, i)
        fill_up(&x.pool, i)
        if xsk_ring_prod__needs_wakeup(&xsk.fill):
            recvfrom(xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL)
        if unsent(xsk) and x.now >= xsk.dead_until_ns:
            kick(x, i)
        if look:
            count_lost(x, i)
    if look:
        x.statistics_ns = x.now


cdef void count_lost(Xdp *x, uint32_t index) noexcept nogil:
    """XDP_STATISTICS live as long as the socket; what was counted before is in shared memory."""
    cdef xdp_statistics statistics
    cdef socklen_t size = sizeof(statistics)
    cdef uint64_t lost
    memset(&statistics, 0, sizeof(statistics))
    if x.port.counters == NULL:
        return
    if getsockopt(x.pool.xsks[index].fd, SOL_XDP, XDP_STATISTICS, &statistics, &size) != 0:
        return
    lost = statistics.rx_dropped + statistics.rx_ring_full
    if lost > x.shared.lost[index]:
        count(x.port.counters, COUNTER_RING_LOST, lost - x.shared.lost[index])
        x.shared.lost[index] = lost


cdef uint32_t read_rings(Xdp *x, Packet **batch, uint32_t room) noexcept nogil:
    """A burst from all rings, another one first each time."""
    cdef uint32_t filled = 0
    cdef uint32_t i, got, position, k, index
    cdef Xsk *xsk
    x.turn += 1
    for i in range(x.pool.count):
        index = (x.turn + i) % x.pool.count
        xsk = &x.pool.xsks[index]
        got = xsk_ring_cons__peek(&xsk.rx, room - filled, &position) if filled < room else 0
        for k in range(got):
            batch[filled + k] = &x.packets[filled + k]
            describe(x, xsk, xsk_ring_cons__rx_desc(&xsk.rx, position + k), batch[filled + k])
        if got:
            xsk_ring_cons__release(&xsk.rx, got)        # after reading: a successor reads again what we did not finish
            filled += got
    return filled


cdef inline void describe(Xdp *x, const Xsk *xsk, const xdp_desc *found, Packet *packet) noexcept nogil:
    """Fill the Packet of a received frame, and own the frame."""
    cdef Seen seen
    cdef uint64_t place = place_of(found.addr)
    cdef uint32_t frame = frame_of(&x.pool, found.addr)
    cdef uint64_t end = base_of(&x.pool, frame) + (STRIDE if x.pool.unaligned else PAGE_STRIDE)
    frame_take_back(&x.pool, frame)
    packet.drop = frame_read(x.area + place, found.len, &seen)
    packet.data = x.area + place + seen.at
    packet.length = seen.length if packet.drop == DROP_NONE else found.len
    packet.capacity = <uint32_t>(end - place - seen.at)
    packet.crypto = NO_SLOT
    packet.kind = 0
    packet.marks = 0
    packet.peer = seen.source
    packet.received_ns = x.now
    packet.flow = number_of(x, xsk, &seen) if packet.drop == DROP_NONE else NO_SLOT


cdef inline uint32_t number_of(const Xdp *x, const Xsk *xsk, const Seen *seen) noexcept nogil:
    """Socket number of where the datagram went to, NO_SLOT when that is none of ours."""
    cdef uint32_t i
    cdef const Local *local
    for i in range(x.local_count):
        local = &x.locals[i]
        if (local.device == xsk.device and local.family == seen.source.family and local.outer == seen.outer
                and local.inner == seen.inner and memcmp(local.ip, seen.destination, 16) == 0):
            return numbering_number(&x.numbering, i, seen.port)
    return NO_SLOT


# -- transmit --------------------------------------------------------------------------------------------

cdef void xdp_transmit(Port *port, Packet **batch, uint32_t count_) noexcept nogil:
    """See port.pxd. A flow's packets take one way as long as its next hop stands."""
    cdef Xdp *x = <Xdp *>port
    cdef uint32_t others = 0
    cdef uint32_t i
    for i in range(count_):
        if batch[i].drop == DROP_NONE and not send_by_ring(x, batch[i]):
            x.others[others] = batch[i]
            others += 1
    for i in range(x.pool.count):
        if x.pool.xsks[i].kicks:
            xsk_ring_prod__submit(&x.pool.xsks[i].tx, x.pool.xsks[i].kicks)
            if x.port.counters != NULL:
                count(x.port.counters, COUNTER_RING_SENT, x.pool.xsks[i].kicks)
            x.pool.xsks[i].kicks = 0
            kick(x, i)
    if others:
        x.inner.transmit(x.inner, x.others, others)


cdef void kick(Xdp *x, uint32_t index) noexcept nogil:
    """Tell the kernel, if it wants to be told. In copy mode this call does the sending, a limited number at a time."""
    cdef Xsk *xsk = &x.pool.xsks[index]
    cdef uint32_t _times
    for _times in range(KICKS):
        if not xsk_ring_prod__needs_wakeup(&xsk.tx) or not unsent(xsk):
            return
        if sendto(xsk.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 and errno != EAGAIN:
            if errno != EBUSY and errno != ENOBUFS:
                xsk.dead_until_ns = x.now + DEAD_NS     # ENETDOWN, ENXIO: link or device is gone
            return


cdef bint send_by_ring(Xdp *x, Packet *packet) noexcept nogil:
    """Put a datagram into a ring, or drop it because that is full. False: the kernel socket is to send it."""
    cdef NextHop hop
    cdef uint32_t index, frame
    cdef uint32_t number = numbering_interface(&x.numbering, packet.flow)
    cdef uint16_t port = numbering_port(&x.numbering, packet.flow)
    cdef uint32_t headers
    cdef uint8_t *data
    if number >= x.local_count or x.locals[number].device == NO_DEVICE:
        return False
    if x.locals[number].family != packet.peer.family:
        return False
    if not next_hop_find(x.next_hops, x.next_hop_count, number, &packet.peer, &hop):
        if x.wanted != NULL:
            wanted_note(x.wanted, number, &packet.peer)
        return False
    index = ring_for(x, &hop, packet.flow)
    headers = frame_headers(&hop.way, packet.peer.family)
    if index == NO_SLOT or packet.length + headers - 14 > hop.mtu or packet.length + headers > LONGEST_FRAME:
        return False
    data = own(x, packet, headers, &frame)
    if data == NULL:
        refuse(x, packet)
        return True
    frame_write(data, packet.length, &hop.way, x.locals[number].ip, port, &packet.peer)
    if give(x, index, frame, data - headers, packet.length + headers):
        if data == packet.data:
            x.gone[packet - &x.packets[0]] = True       # not `release`'s: it may have come back and left again
    else:
        if data != packet.data:
            frame_free(&x.pool, frame)                  # a copy; a received frame goes with `release`
        refuse(x, packet)
    return True


cdef inline void refuse(Xdp *x, Packet *packet) noexcept nogil:
    """Wait for nobody: what finds no place is dropped."""
    packet.drop = DROP_SEND
    if x.port.counters != NULL:
        count(x.port.counters, COUNTER_RING_FULL, 1)


cdef inline uint32_t ring_for(const Xdp *x, const NextHop *hop, uint32_t flow) noexcept nogil:
    """The ring of the hop's device that this flow uses, or NO_SLOT."""
    cdef uint32_t first, index, i
    for i in range(x.pool.count):
        if x.pool.xsks[i].ifindex == hop.ifindex:
            first = x.pool.xsks[i].device
            index = x.sends_by[first][flow % x.sends_by_count[first]]
            if not x.shared.usable[index] or x.now < x.pool.xsks[index].dead_until_ns:
                return NO_SLOT
            return index
    return NO_SLOT


cdef inline uint8_t *own(Xdp *x, const Packet *packet, uint32_t headers, uint32_t *frame) noexcept nogil:
    """Where the datagram lies in a frame of ours: as it is, or copied into a free one. NULL: none is free."""
    cdef uint64_t place = <uint64_t>(packet.data - x.area)
    cdef uint8_t *data
    if packet >= &x.packets[0] and packet < &x.packets[x.port.from_rings]:
        frame[0] = frame_of(&x.pool, place)
        if place - base_of(&x.pool, frame[0]) >= headers:
            return packet.data
    if x.pool.free_count == 0:
        return NULL
    x.pool.free_count -= 1
    frame[0] = x.pool.free[x.pool.free_count]
    data = x.area + base_of(&x.pool, frame[0]) + LEAD
    memcpy(data, packet.data, packet.length)
    return data


cdef inline bint give(Xdp *x, uint32_t index, uint32_t frame, uint8_t *start, uint32_t octets) noexcept nogil:
    """One descriptor; False when the ring has no place even after the kernel was told and frames were taken back."""
    cdef Xsk *xsk = &x.pool.xsks[index]
    cdef uint32_t position
    cdef xdp_desc *out
    if xsk_ring_prod__reserve(&xsk.tx, 1, &position) == 0:
        if xsk.kicks:
            xsk_ring_prod__submit(&xsk.tx, xsk.kicks)
            if x.port.counters != NULL:
                count(x.port.counters, COUNTER_RING_SENT, xsk.kicks)
            xsk.kicks = 0
        kick(x, index)
        reap(&x.pool, index)
        if xsk_ring_prod__reserve(&xsk.tx, 1, &position) == 0:
            return False
    x.pool.owners[frame] = OWNER_SEND | <uint64_t>index << 32 | position
    out = xsk_ring_prod__tx_desc(&xsk.tx, position)
    out.addr = address_of(&x.pool, frame, <uint64_t>(start - x.area))
    out.len = octets
    out.options = 0
    xsk.kicks += 1
    return True


cdef void xdp_release(Port *port) noexcept nogil:
    """See port.pxd."""
    cdef Xdp *x = <Xdp *>port
    cdef uint32_t i, frame
    for i in range(x.port.from_rings):
        frame = frame_of(&x.pool, <uint64_t>(x.packets[i].data - x.area))
        if not x.gone[i]:
            frame_free(&x.pool, frame)
        x.gone[i] = False
    x.port.from_rings = 0
    x.inner.release(x.inner)


cdef void xdp_serve(Port *port, uint32_t socket, bint on) noexcept nogil:
    """See port.pxd: of the kernel sockets. A frame goes by its queue, wherever its socket's home is."""
    cdef Xdp *x = <Xdp *>port
    if x.inner.serve != NULL:
        x.inner.serve(x.inner, socket, on)


# -- for Python ------------------------------------------------------------------------------------------

cdef class XdpPort(AnyPort):
    """Rings and, for everything they cannot do, `other`. One process at a time may use a `Rings`.

    locals: (address, device number or None, outer VLAN, inner VLAN) by interface number; numbering: ((first port,
    ports of one worker) by interface number, workers). OSError, ValueError, MemoryError.
    """

    def __cinit__(self, Rings rings, AnyPort other, list locals, tuple numbering, NextHops hops, bint busy=False):
        cdef Xdp *x = <Xdp *>calloc(1, sizeof(Xdp))
        if x == NULL:
            raise MemoryError
        self.xdp = x
        self.rings, self.other, self.hops = rings, other, hops
        self.port = &x.port
        x.port.receive, x.port.transmit, x.port.release = xdp_receive, xdp_transmit, xdp_release
        x.port.serve = xdp_serve
        x.inner, x.busy = other.port, busy
        x.port.overflows = x.inner.overflows
        x.port.cut_received, x.port.cut_taken = x.inner.cut_received, x.inner.cut_taken
        x.next_hops, x.next_hop_count, x.wanted = hops.rows, hops.count, hops.wanted
        numbering_fill(&x.numbering, numbering[0], numbering[1])
        self.set_locals(locals)
        self.attach_rings()
        self.watch()

    cdef set_locals(self, list locals):
        cdef Peer peer
        cdef Local *local
        if len(locals) > MOST_LOCALS:
            raise ValueError(f"more than {MOST_LOCALS} local addresses")
        for index, (address, device, outer, inner) in enumerate(locals):
            peer = peer_parse(address, 1)
            local = &self.xdp.locals[index]
            memcpy(local.ip, peer.ip, 16)
            local.family = peer.family
            local.device = NO_DEVICE if device is None else device
            local.outer, local.inner = outer, inner
        self.xdp.local_count = len(locals)

    cdef attach_rings(self):
        """Adopt the rings: after the first process as after one that died."""
        cdef Xdp *x = self.xdp
        cdef Xsk *xsk
        x.area, x.shared = self.rings.area, self.rings.shared
        x.pool.xsks, x.pool.count = self.rings.xsks, self.rings.count
        x.pool.frames, x.pool.unaligned = self.rings.frames, self.rings.unaligned
        x.pool.owners = self.rings.owners
        x.pool.free = <uint32_t *>calloc(x.pool.frames, sizeof(uint32_t))
        if x.pool.free == NULL:
            raise MemoryError
        for i in range(x.pool.count):
            xsk = &x.pool.xsks[i]
            xsk.kicks, xsk.dead_until_ns = 0, 0
            if xsk.device >= MOST_DEVICES:
                raise ValueError(f"more than {MOST_DEVICES} devices")
            x.sends_by[xsk.device][x.sends_by_count[xsk.device]] = i
            x.sends_by_count[xsk.device] += 1
            x.port.ring_taken += xsk.rx.consumer[0]
        rings_recover(&x.pool)
        x.now = clock_ns(CLOCK_MONOTONIC)
        tend(x)

    cdef watch(self):
        """One epoll: the rings, and the other port by the descriptor that it offers."""
        cdef Xdp *x = self.xdp
        cdef epoll_event event
        x.epoll = epoll_create1(EPOLL_CLOEXEC)
        if x.epoll < 0:
            raise OSError(errno, "epoll_create1")
        x.port.ready = x.epoll
        fds = [(INNER, x.inner.ready)] + [(i + 1, x.pool.xsks[i].fd) for i in range(x.pool.count)]
        for name, fd in fds:
            event.events = EPOLLIN
            event.data.u32 = name
            if epoll_ctl(x.epoll, EPOLL_CTL_ADD, fd, &event) != 0:
                raise OSError(errno, "epoll_ctl")

    def take(self):
        """Receive and do nothing with it, as a worker that dies at once; how many. For tests."""
        cdef Packet *batch[BATCH]
        return xdp_receive(self.port, batch, BATCH, 0)

    def frames(self):
        """Where the frames are: {"ours": ..., "receiving": ..., "sending": ...}; they always add up."""
        cdef Xdp *x = self.xdp
        given = [x.pool.owners[i] for i in range(x.pool.frames)]
        sending = sum(1 for owner in given if owner & OWNER_SEND)
        ours = sum(1 for owner in given if owner == 0)
        return {"ours": ours, "free": x.pool.free_count, "sending": sending, "receiving": len(given) - ours - sending}

    def __dealloc__(self):
        if self.xdp != NULL:
            if self.xdp.epoll > 0:
                close(self.xdp.epoll)
            free(self.xdp.pool.free)
            free(self.xdp)
