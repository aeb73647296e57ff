# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The receiving half: arrivals are read, opened in one batch, and compared octet for octet with what was sent."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from posix.time cimport timespec

from kernels.clib.datagrams cimport (
    CLOCK_MONOTONIC, MSG_DONTWAIT, clock_ns, epoll_event, epoll_pwait2, ntohl, ntohs, recvmmsg, sockaddr_in,
)
from kernels.load.compound cimport Report, compound_read
from kernels.load.histogram cimport histogram_add
from kernels.load.loop cimport HUB_ITEM, Hub, Loop, prepare
from kernels.load.payload cimport PayloadHead, payload_read
from kernels.load.stream cimport NOBODY, Stream, stream_first_copy
from kernels.srtp.engine cimport engine_open
from kernels.wire.packet cimport BATCH, DROP_NONE, DROP_UNKNOWN_KIND, KIND_RTCP, KIND_RTP, NO_SLOT, Packet

cdef enum:
    PER_SOCKET = 8                      # datagrams of one stream's socket and turn


cdef inline uint8_t kind_of(const Packet *packet, bint own_socket) noexcept nogil:
    """RFC 5761 section 4 on a shared socket."""
    if packet.length < 8 or packet.data[0] >> 6 != 2:
        return 0
    if own_socket:
        return KIND_RTCP
    return KIND_RTCP if 64 <= packet.data[1] & 0x7F <= 95 else KIND_RTP

cdef inline void take(Loop *loop, uint32_t n, uint32_t place, uint32_t octets, bint own_socket,
                      uint64_t now) noexcept nogil:
    """The n-th packet of the batch has arrived for this stream."""
    cdef Packet *packet = &loop.packets[n]
    prepare(loop, n)
    packet.length = octets
    packet.flow = place
    packet.crypto = loop.streams[place].receive
    packet.received_ns = now
    packet.kind = kind_of(packet, own_socket)
    if not packet.kind:
        packet.drop = DROP_UNKNOWN_KIND

cdef uint32_t read_socket(Loop *loop, uint32_t item, uint32_t filled, uint64_t now) noexcept nogil:
    """Append arrivals of one stream's socket to the batch; how many packets it holds then."""
    cdef Stream *stream = &loop.streams[item >> 1]
    cdef uint32_t n, room = min(<uint32_t>BATCH - filled, <uint32_t>PER_SOCKET)
    cdef int fd = stream.rtcp_fd if item & 1 else stream.rtp_fd
    cdef int count = recvmmsg(fd, &loop.messages[filled], room, MSG_DONTWAIT, NULL)
    for n in range(filled, filled + <uint32_t>max(count, 0)):
        take(loop, n, item >> 1, loop.messages[n].msg_len, item & 1, now)
    return filled + <uint32_t>max(count, 0)

cdef void read_hub(Loop *loop, Hub *hub) noexcept nogil:
    """A batch of a shared socket: whose it is, the far end's port says. Strangers are nobody's and not counted."""
    cdef uint32_t n, place
    cdef uint64_t now
    cdef int count
    for n in range(BATCH):
        loop.named[n].msg_hdr.msg_namelen = sizeof(sockaddr_in)
    count = recvmmsg(hub.fd, loop.named, BATCH, MSG_DONTWAIT, NULL)
    now = clock_ns(CLOCK_MONOTONIC)
    for n in range(<uint32_t>max(count, 0)):
        place = hub.by_port[loop.names[n].sin_port]
        if place != NOBODY and loop.names[n].sin_addr.s_addr == loop.streams[place].remote.sin_addr.s_addr:
            take(loop, n, place, loop.named[n].msg_len, False, now)
        else:
            loop.packets[n].flow = NO_SLOT
            loop.packets[n].drop = DROP_UNKNOWN_KIND
    if count > 0:
        verify_batch(loop, <uint32_t>count)

cdef void verify_rtp(Loop *loop, Stream *stream, Packet *packet) noexcept nogil:
    cdef PayloadHead head
    cdef uint16_t sequence
    cdef uint32_t ssrc, octets = 12
    if packet.length < octets or not payload_read(packet.data + octets, packet.length - octets, loop.key, &head):
        stream.tally.corrupted += 1
        return
    if stream.expected == NOBODY:
        stream.expected = head.stream
    if head.stream != stream.expected:
        stream.tally.misrouted += 1
        return
    for octets in range(12):
        if packet.data[octets] != head.header[octets]:
            stream.tally.header_changed += 1
            break
    if not stream_first_copy(stream, head.number):
        stream.tally.duplicated += 1
        return
    memcpy(&sequence, packet.data + 2, 2)
    memcpy(&ssrc, packet.data + 8, 4)
    stream.heard_sequence = ntohs(sequence)
    stream.heard_ssrc = ntohl(ssrc)
    stream.tally.received += 1
    histogram_add(&stream.latency, packet.received_ns - head.sent_ns if packet.received_ns > head.sent_ns else 0)

cdef void verify_rtcp(Loop *loop, Stream *stream, Packet *packet) noexcept nogil:
    cdef Report report
    if not compound_read(packet.data, packet.length, loop.key, &report):
        stream.tally.rtcp_corrupted += 1
    elif stream.expected != NOBODY and report.stream != stream.expected:
        stream.tally.misrouted += 1
    else:
        stream.tally.rtcp_received += 1

cdef void verify_batch(Loop *loop, uint32_t count) noexcept nogil:
    cdef uint32_t n
    cdef Packet *packet
    cdef Stream *stream
    if loop.engine != NULL:
        engine_open(loop.engine, loop.batch, count)
    for n in range(count):
        packet = &loop.packets[n]
        if packet.flow == NO_SLOT:
            continue
        stream = &loop.streams[packet.flow]
        if packet.drop != DROP_NONE:
            stream.tally.drops[packet.drop] += 1
        elif packet.kind == KIND_RTP:
            verify_rtp(loop, stream, packet)
        else:
            verify_rtcp(loop, stream, packet)

cdef bint receive(Loop *loop, uint64_t wait_ns) noexcept nogil:
    """Wait at most so long for arrivals and verify them; True when there were some."""
    cdef epoll_event ready[64]
    cdef timespec wait
    cdef int n, count
    cdef uint32_t filled = 0
    cdef uint64_t now
    wait.tv_sec = <long>(wait_ns // 1000000000)
    wait.tv_nsec = <long>(wait_ns % 1000000000)
    count = epoll_pwait2(loop.epoll, ready, 64, &wait, NULL)
    if count <= 0:
        return False
    now = clock_ns(CLOCK_MONOTONIC)
    for n in range(count):
        if ready[n].data.u32 & HUB_ITEM:
            if filled:
                verify_batch(loop, filled)
                filled = 0
            read_hub(loop, &loop.hubs[ready[n].data.u32 & ~<uint32_t>HUB_ITEM])
            continue
        filled = read_socket(loop, ready[n].data.u32, filled, now)
        if filled > BATCH - PER_SOCKET:
            verify_batch(loop, filled)
            filled = 0
            now = clock_ns(CLOCK_MONOTONIC)
    if filled:
        verify_batch(loop, filled)
    loop.quiet_since = now
    return True
