# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `memory` port: tests inject datagrams and collect what the packet path sent. Never waits."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kernels.clib.linux cimport CLOCK_MONOTONIC, clock_ns
from kernels.port.address cimport peer_address, peer_parse
from kernels.port.memory cimport QUEUE, WHOLE, Memory, Waiting
from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_NONE, DROP_SEND, DROP_TOO_LONG, FRAME, HEADROOM, NO_SLOT, Packet,
)

from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap, mprotect, munmap,
)

cdef enum:
    GUARD = 65536               # a multiple of every page size in use


cdef uint32_t memory_receive(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil:
    """See port.pxd; `wait_ms` is of no concern here."""
    cdef Memory *memory = <Memory *>port
    cdef uint32_t count = min(min(room, BATCH), memory.arrived - memory.taken)
    cdef uint32_t i
    cdef Waiting *waiting
    cdef Packet *packet
    for i in range(count):
        waiting = &memory.arrivals[memory.taken + i]
        packet = &memory.packets[i]
        packet.length = min(waiting.length, DATAGRAM)
        packet.capacity = FRAME - HEADROOM if memory.slack == WHOLE else packet.length + memory.slack
        packet.data = memory.frames + <uint64_t>i * memory.stride + FRAME - packet.capacity
        packet.flow = waiting.socket
        packet.crypto = NO_SLOT
        packet.drop = DROP_TOO_LONG if waiting.length > DATAGRAM else DROP_NONE
        packet.kind = 0
        packet.marks = 0
        packet.peer = waiting.peer
        packet.received_ns = clock_ns(CLOCK_MONOTONIC)
        memcpy(packet.data, waiting.data, packet.length)
        batch[i] = packet
    memory.taken += count
    memory.held = count
    if memory.taken == memory.arrived:
        memory.taken = memory.arrived = 0
    return count


cdef void memory_transmit(Port *port, Packet **batch, uint32_t count) noexcept nogil:
    """See port.pxd; a full queue is a kernel that refuses."""
    cdef Memory *memory = <Memory *>port
    cdef uint32_t i
    cdef Waiting *waiting
    for i in range(count):
        if batch[i].drop != DROP_NONE:
            continue
        if memory.sent == QUEUE:
            batch[i].drop = DROP_SEND
            continue
        waiting = &memory.departures[memory.sent]
        waiting.socket = batch[i].flow
        waiting.length = batch[i].length
        waiting.peer = batch[i].peer
        memcpy(waiting.data, batch[i].data, batch[i].length)
        memory.sent += 1


cdef void memory_release(Port *port) noexcept nogil:
    (<Memory *>port).held = 0


cdef uint8_t *guarded_frames(uint32_t *stride) noexcept:
    """First octet of the first of BATCH frames, each flush with a page without access. NULL: no memory."""
    cdef uint32_t room = (FRAME + GUARD - 1) // GUARD * GUARD
    cdef uint32_t i
    cdef uint8_t *base
    stride[0] = room + GUARD
    base = <uint8_t *>mmap(NULL, <size_t>BATCH * stride[0], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if base == <uint8_t *>MAP_FAILED:
        return NULL
    for i in range(BATCH):
        if mprotect(base + <uint64_t>i * stride[0] + room, GUARD, PROT_NONE) != 0:
            munmap(base, <size_t>BATCH * stride[0])
            return NULL
    return base + room - FRAME


cdef class MemoryPort(AnyPort):
    """Two queues of datagrams, each with the number of its local socket and the address of the far end.

    Every frame ends where memory that faults begins. slack: octets of the frame behind each datagram; None: all that
    a port of production gives (TAILROOM and what the datagram leaves).
    """

    def __cinit__(self, slack=None):
        self.memory = <Memory *>calloc(1, sizeof(Memory))
        if self.memory == NULL:
            raise MemoryError
        if slack is not None and not 0 <= slack <= FRAME - HEADROOM - DATAGRAM:
            raise ValueError("slack: 0..TAILROOM octets")
        self.memory.slack = WHOLE if slack is None else slack
        self.memory.frames = guarded_frames(&self.memory.stride)
        if self.memory.frames == NULL:
            raise MemoryError
        self.port = &self.memory.port
        self.port.receive = memory_receive
        self.port.transmit = memory_transmit
        self.port.release = memory_release

    def __dealloc__(self):
        if self.memory != NULL and self.memory.frames != NULL:
            munmap(self.memory.frames - (self.memory.stride - GUARD - FRAME), <size_t>BATCH * self.memory.stride)
        free(self.memory)

    def inject(self, uint32_t socket, bytes data, str host, int port):
        """A datagram arrives on a local socket from host:port. BufferError when the queue is full."""
        if self.memory.arrived == QUEUE:
            raise BufferError("memory port: queue full")
        if len(data) > FRAME:
            raise ValueError("longer than a frame")
        cdef Waiting *waiting = &self.memory.arrivals[self.memory.arrived]
        waiting.socket = socket
        waiting.length = len(data)
        waiting.peer = peer_parse(host, port)
        memcpy(waiting.data, <const char *>data, len(data))
        self.memory.arrived += 1

    def collect(self):
        """What was sent since the last call: (socket, data, (host, port)), in order."""
        cdef uint32_t i
        cdef Waiting *waiting
        sent = []
        for i in range(self.memory.sent):
            waiting = &self.memory.departures[i]
            sent.append((waiting.socket, (<char *>waiting.data)[:waiting.length], peer_address(&waiting.peer)))
        self.memory.sent = 0
        return sent

    @property
    def held(self):
        """Frames that the packet path has not given back."""
        return self.memory.held
