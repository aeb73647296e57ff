# Everything the load loop touches, and the two halves of a turn.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.clib.datagrams cimport iovec, mmsghdr, sockaddr_in
from kernels.load.schedule cimport Event
from kernels.load.stream cimport Stream
from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport DROP_NONE, FRAME, HEADROOM, Packet

cdef enum:
    HUB_ITEM = 0x80000000               # epoll item of a shared socket: this and its place among the hubs

cdef struct Hub:                        # one socket of many streams, told apart by the far end's port
    int fd
    uint32_t by_port[65536]             # far end's port, network order -> place of the stream, NOBODY

cdef struct Loop:                       # everything the loop touches
    Stream *streams
    uint32_t count
    Event *schedule                     # item: 2 * place for RTP, 2 * place + 1 for RTCP
    uint32_t events
    int epoll
    uint64_t key
    Engine *engine                      # NULL: every stream is plain
    uint8_t *frames
    Packet packets[64]
    Packet *batch[64]
    mmsghdr messages[64]                # arrivals of a stream's own socket
    mmsghdr named[64]                   # arrivals of a shared socket: with the sender's address
    sockaddr_in names[64]
    iovec vectors[64]                   # the frames, for both
    mmsghdr outgoing[64]                # of a shared socket
    iovec outgoing_vectors[64]
    uint32_t outgoing_packets[64]
    Hub *hubs
    uint32_t hub_count
    uint64_t stop_ns                    # of sending
    uint64_t packets_each               # UINT64_MAX: no limit
    uint64_t settle_ns
    uint64_t quiet_since                # newest arrival or end of sending
    uint64_t end_ns                     # 0 while sending; then the latest end of listening
    uint64_t started_ns
    uint64_t ended_ns
    uint64_t behind_ns
    uint64_t skipped
    uint64_t cpu_ns

cdef inline void prepare(Loop *loop, uint32_t n) noexcept nogil:
    """Give the n-th packet of the batch its frame."""
    cdef Packet *packet = &loop.packets[n]
    packet.data = loop.frames + n * FRAME + HEADROOM
    packet.capacity = FRAME - HEADROOM
    packet.drop = DROP_NONE
