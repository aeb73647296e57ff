# AF_XDP sockets of one worker over one UMEM. Made by the holder while it may; the rings and the frames are shared
# mappings, so every later process of the worker goes on where the last one stopped (see `rings_recover` in rings.pxd).
#
#   unaligned chunks of 2,240 octets every 2,496 (39 cache lines, an odd number: heads of frames fall into all cache
#   sets; a power of two puts them all into the same few); the kernel writes up to 1,984 octets from offset 256 on; what
#   lies behind the chunk is room for tags. Zero copy without huge pages needs aligned chunks: one page each.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.libxdp cimport xsk_ring_cons, xsk_ring_prod, xsk_socket, xsk_umem

cdef enum:
    MOST_XSKS = 32              # of one worker
    RING = 2048                 # descriptors of each ring
    CHUNK = 2240
    STRIDE = 2496
    PAGE_STRIDE = 4096
    LEAD = 256                  # octets the kernel leaves free before a frame (XDP_PACKET_HEADROOM)
    LONGEST_FRAME = 1984        # CHUNK - LEAD; the XDP program passes longer ones to the kernel

cdef struct Xsk:
    xsk_ring_cons rx
    xsk_ring_prod tx
    xsk_ring_prod fill
    xsk_ring_cons comp
    xsk_socket *socket
    int fd
    uint32_t ifindex
    uint32_t queue
    uint16_t device             # number of the device, in the holder's order
    uint16_t kicks              # transmit: descriptors of this burst
    uint64_t lost               # frames the kernel dropped, as last counted
    uint64_t dead_until_ns      # the kernel refused to send: sockets until then

cdef struct Shared:             # before the table of owners, in a shared mapping
    uint32_t usable[MOST_XSKS]  # holder: may this ring send? (link up)
    uint64_t lost[MOST_XSKS]    # worker: losses already counted

cdef class Rings:
    cdef xsk_umem *umem
    cdef Xsk xsks[MOST_XSKS]
    cdef readonly uint32_t count
    cdef uint8_t *area
    cdef uint64_t octets
    cdef Shared *shared
    cdef uint64_t shared_octets
    cdef uint64_t *owners       # by frame, see rings.pxd
    cdef readonly uint32_t frames
    cdef readonly bint unaligned
    cdef readonly bint zero_copy
    cdef readonly bint huge
    cdef map_memory(self, bint unaligned)
    cdef open_socket(self, uint32_t index, str name, uint32_t queue, int busy_poll_us)
