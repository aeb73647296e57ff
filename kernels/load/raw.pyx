# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `raw` port: AF_XDP in copy mode, as cheap as a packet gets here without a card that copies for us.

Receive:  the receive ring's frames are read where they are; `release` gives them back through the fill ring.
Transmit: a datagram is copied into a spare frame behind its headers; one call of the kernel for a burst.
"""
import socket as sockets

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

from kernels.clib.afxdp cimport af_attach, af_bind, af_kick, af_open, af_ring, xdp_desc
from kernels.clib.linux cimport CLOCK_MONOTONIC, clock_ns
from kernels.load.frames cimport ETHERNET, HEADERS, frame_read, frame_write
from kernels.load.raw cimport CHUNK, FRAMES, SLOTS, Raw
from kernels.port.port cimport AnyPort, Port
from kernels.wire.atomics cimport load_acquire_u32, store_release_u32
from kernels.wire.octets cimport load_be16
from kernels.wire.packet cimport BATCH, DROP_NONE, DROP_SEND, NO_SLOT, Packet

cdef enum:
    LONGEST = 1500 - 28             # octets of a datagram
    RECEIVE = 0                     # rings
    TRANSMIT = 1
    FILL = 2
    COMPLETION = 3


cdef uint32_t raw_receive(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil:
    """See port.pxd; never waits. What is not for one of our sockets is counted and passed over."""
    cdef Raw *raw = <Raw *>port
    cdef af_ring *ring = &raw.rings[RECEIVE]
    cdef uint32_t first = ring.consumer[0] + raw.taken
    cdef uint32_t count = min(load_acquire_u32(ring.producer) - first, min(room, BATCH))
    cdef uint32_t i, filled = 0
    cdef xdp_desc *desc
    cdef uint64_t now
    if count == 0:
        return 0
    now = clock_ns(CLOCK_MONOTONIC)
    for i in range(count):
        desc = &(<xdp_desc *>ring.entries)[(first + i) & ring.mask]
        if describe(raw, &raw.packets[filled], raw.area + desc.addr, desc.len, now):
            batch[filled] = &raw.packets[filled]
            filled += 1
        else:
            raw.spoilt += 1
    raw.taken += count
    if filled == 0:
        raw_release(port)
    return filled


cdef bint describe(Raw *raw, Packet *packet, uint8_t *frame, uint32_t length, uint64_t now) noexcept nogil:
    """Fill the Packet of a received frame; False: it is not for us."""
    cdef uint8_t *ip = frame + ETHERNET
    cdef uint32_t octets = frame_read(frame, length)
    if octets == 0 or raw.by_port[load_be16(ip + 22)] == NO_SLOT:
        return False
    packet.data, packet.length, packet.capacity = frame + HEADERS, octets, octets
    packet.flow, packet.crypto = raw.by_port[load_be16(ip + 22)], NO_SLOT
    packet.drop, packet.kind, packet.marks = DROP_NONE, 0, 0
    memset(&packet.peer, 0, sizeof(packet.peer))
    memcpy(packet.peer.ip, ip + 12, 4)
    packet.peer.port, packet.peer.family = load_be16(ip + 20), 4
    packet.received_ns = now
    return True


cdef void raw_release(Port *port) noexcept nogil:
    """Frames that were read go to the fill ring: both rings have the same size, so there is always room."""
    cdef Raw *raw = <Raw *>port
    cdef af_ring *ring = &raw.rings[RECEIVE]
    cdef af_ring *fill = &raw.rings[FILL]
    cdef uint32_t i, produced = fill.producer[0], first = ring.consumer[0]
    cdef uint64_t address
    for i in range(raw.taken):
        address = (<xdp_desc *>ring.entries)[(first + i) & ring.mask].addr
        (<uint64_t *>fill.entries)[(produced + i) & fill.mask] = address & ~<uint64_t>(CHUNK - 1)
    store_release_u32(fill.producer, produced + raw.taken)
    store_release_u32(ring.consumer, first + raw.taken)
    raw.taken = 0


cdef void reap(Raw *raw) noexcept nogil:
    """Frames that the kernel has sent are spare again."""
    cdef af_ring *ring = &raw.rings[COMPLETION]
    cdef uint32_t first = ring.consumer[0], last = load_acquire_u32(ring.producer)
    while first != last:
        raw.spare[raw.spares] = <uint32_t>((<uint64_t *>ring.entries)[first & ring.mask] // CHUNK)
        raw.spares += 1
        first += 1
    store_release_u32(ring.consumer, last)


cdef void raw_transmit(Port *port, Packet **batch, uint32_t count) noexcept nogil:
    """See port.pxd."""
    cdef Raw *raw = <Raw *>port
    cdef af_ring *ring = &raw.rings[TRANSMIT]
    cdef uint32_t i, frame, produced = ring.producer[0], filled = 0
    cdef Packet *packet
    cdef xdp_desc *desc
    if raw.spares < count:
        reap(raw)
    for i in range(count):
        packet = batch[i]
        if packet.drop != DROP_NONE:
            continue
        if raw.spares == 0 or packet.length > LONGEST or packet.peer.family != 4:
            packet.drop = DROP_SEND
            continue
        raw.spares -= 1
        frame = raw.spare[raw.spares]
        desc = &(<xdp_desc *>ring.entries)[(produced + filled) & ring.mask]
        desc.addr, desc.options = <uint64_t>frame * CHUNK, 0
        desc.len = frame_write(
            raw.area + <uint64_t>frame * CHUNK, raw.macs, raw.ip, packet.peer.ip, raw.ports[packet.flow],
            packet.peer.port, packet.data, packet.length,
        )
        filled += 1
    if filled:
        store_release_u32(ring.producer, produced + filled)
        af_kick(raw.fd, ring)


cdef class RawPort(AnyPort):
    def __cinit__(self, uint32_t ifindex, bytes macs, str host, list ports, bint generic=False):
        cdef Raw *raw = <Raw *>calloc(1, sizeof(Raw))
        cdef uint32_t n
        cdef bytes ip = sockets.inet_aton(host)
        if raw == NULL:
            raise MemoryError
        self.raw, self.port = raw, &raw.port
        raw.fd = raw.held[0] = raw.held[1] = raw.held[2] = -1
        raw.port.receive, raw.port.transmit, raw.port.release = raw_receive, raw_transmit, raw_release
        if len(macs) != 12:
            raise ValueError("macs: two addresses of 6 octets")
        memcpy(raw.macs, <const char *>macs, 12)
        memcpy(raw.ip, <const char *>ip, 4)
        raw.ports = <uint16_t *>calloc(len(ports) + 1, sizeof(uint16_t))
        raw.by_port = <uint32_t *>calloc(65536, sizeof(uint32_t))
        if raw.ports == NULL or raw.by_port == NULL:
            raise MemoryError
        memset(raw.by_port, 0xFF, 65536 * sizeof(uint32_t))
        for n, one in enumerate(ports):
            raw.ports[n] = one
            raw.by_port[raw.ports[n]] = n
        self._open(ifindex, generic)

    def _open(self, uint32_t ifindex, bint generic):
        cdef Raw *raw = self.raw
        cdef uint32_t n
        cdef int error
        raw.area = <uint8_t *>mmap(NULL, FRAMES * CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if raw.area == <uint8_t *>MAP_FAILED:
            raw.area = NULL
            raise MemoryError
        raw.fd = af_open(raw.area, FRAMES * CHUNK, CHUNK, SLOTS, raw.rings)
        if raw.fd < 0:
            raise OSError(-raw.fd, "AF_XDP socket")
        for n in range(SLOTS):
            raw.spare[n] = n
            (<uint64_t *>raw.rings[FILL].entries)[n] = <uint64_t>(FRAMES // 2 + n) * CHUNK
        raw.spares = SLOTS
        store_release_u32(raw.rings[FILL].producer, SLOTS)
        error = af_bind(raw.fd, ifindex, 0)
        if error:
            raise OSError(-error, "bind of an AF_XDP socket")
        error = af_attach(raw.fd, ifindex, 0, generic, raw.held)
        if error:
            raise OSError(-error, "XDP program of the load generator")

    @property
    def spoilt(self):
        return self.raw.spoilt

    def close(self):
        cdef int n
        for n in range(3):
            if self.raw.held[n] >= 0:
                close(self.raw.held[n])
                self.raw.held[n] = -1
        if self.raw.fd >= 0:
            close(self.raw.fd)
            self.raw.fd = -1

    def __dealloc__(self):
        if self.raw == NULL:
            return
        self.close()
        if self.raw.area != NULL:
            munmap(self.raw.area, FRAMES * CHUNK)
        free(self.raw.ports)
        free(self.raw.by_port)
        free(self.raw)
