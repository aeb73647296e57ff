# The port vtable: where datagrams come from and go to. Chosen once at start; no other file knows which runs.
#
# At this boundary Packet.flow is a *socket number*: one local address and port, counted over all workers
# (worker of the port range * sockets per worker + interface * share + port - first port of the worker); the pipeline
# turns it into a flow and back.
from libc.stdint cimport uint32_t, uint64_t

from kernels.wire.packet cimport Packet

ctypedef struct Port:
    # Up to `room` datagrams into frames of the port, pointers into `batch`; waits at most wait_ms when
    # there is nothing (0: not at all). Sets data, length, capacity, flow, peer, received_ns; drop is
    # DROP_NONE, or DROP_TOO_LONG for a datagram that did not fit.
    uint32_t (*receive)(Port *port, Packet **batch, uint32_t room, int wait_ms) noexcept nogil
    # Sends those with DROP_NONE to .peer from socket .flow, in order per socket; sets DROP_SEND.
    void (*transmit)(Port *port, Packet **batch, uint32_t count) noexcept nogil
    # The frames of the last `receive` may be used again.
    void (*release)(Port *port) noexcept nogil
    # Read a socket from now on, or no longer: its home changed. Again is no error. NULL: the port does not read by
    # socket (what arrives here for another worker is handed over).
    void (*serve)(Port *port, uint32_t socket, bint on) noexcept nogil
    uint64_t overflows          # datagrams that the kernel could not queue for us, and for predecessors as far as known
    uint64_t cut_received       # when COUNTER_RECEIVED said so,
    uint32_t cut_taken          # a predecessor took so many datagrams from sockets, and may have died before it counted
    uint32_t from_rings         # of the last `receive`: frames taken from AF_XDP rings, the first ones of its batch
    uint32_t ring_taken         # frames that earlier workers took from the rings, modulo 2^32
    int ready                   # descriptor that is readable when `receive` has something (or the doorbell rang)
    uint64_t *counters          # the worker's (kernels/flow/counters.pxd), set by it; NULL: nobody counts

cdef class AnyPort:
    """Owner of a Port for Python."""
    cdef Port *port
