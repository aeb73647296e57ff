# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The `memory` port: tests inject datagrams and collect what the packet path sent. Never waits."""
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kernels.clib.linux cimport CLOCK_MONOTONIC, clock_ns
from kernels.port.address cimport peer_address, peer_parse
from kernels.port.memory cimport QUEUE, Memory, Waiting
from kernels.port.port cimport AnyPort, Port
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_NONE, DROP_SEND, DROP_TOO_LONG, FRAME, HEADROOM, NO_SLOT, Packet,
)


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
        packet.data = memory.frames[i] + HEADROOM
        packet.length = min(waiting.length, DATAGRAM)
        packet.capacity = FRAME - HEADROOM
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


cdef class MemoryPort(AnyPort):
    """Two queues of datagrams, each with the number of its local socket and the address of the far end."""

    def __cinit__(self):
        self.memory = <Memory *>calloc(1, sizeof(Memory))
        if self.memory == NULL:
            raise MemoryError
        self.port = &self.memory.port
        self.port.receive = memory_receive
        self.port.transmit = memory_transmit
        self.port.release = memory_release

    def __dealloc__(self):
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
