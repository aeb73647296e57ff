# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The sending half: what is due is written, sealed in one batch, and sent.

A stream with a socket of its own, as a phone has, costs a call of the kernel per packet; streams that share one, as
the calls of a trunk may, leave in one sendmmsg.
"""
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernels.clib.datagrams cimport (
    CLOCK_REALTIME, MSG_DONTWAIT, clock_ns, htonl, htons, send, sendmmsg, sockaddr_in,
)
from kernels.load.compound cimport COMPOUND, Report, compound_write
from kernels.load.loop cimport Loop, prepare
from kernels.load.payload cimport payload_write
from kernels.load.schedule cimport schedule_sink
from kernels.load.stream cimport NOBODY, Stream
from kernels.srtp.engine cimport engine_seal
from kernels.wire.packet cimport BATCH, DROP_NONE, KIND_RTCP, KIND_RTP, Packet

cdef enum:
    LAG_LIMIT = 200000000               # ns behind the schedule after which packets are left out, not caught up


cdef inline void postpone(Loop *loop, uint64_t interval, uint64_t now) noexcept nogil:
    """Move the event at the top to its next time. Far behind, packets are left out: catching up would be a burst."""
    cdef uint64_t behind = now - loop.schedule[0].due
    if behind > loop.behind_ns:
        loop.behind_ns = behind
    if behind > LAG_LIMIT:
        loop.skipped += behind // interval
        loop.schedule[0].due += behind // interval * interval
    loop.schedule[0].due += interval
    schedule_sink(loop.schedule, loop.events, 0)

cdef inline void retire(Loop *loop) noexcept nogil:
    loop.schedule[0].due = UINT64_MAX
    schedule_sink(loop.schedule, loop.events, 0)

cdef void write_rtp(Loop *loop, Stream *stream, Packet *packet, uint64_t now) noexcept nogil:
    cdef uint8_t *rtp = packet.data
    cdef uint16_t sequence = htons(stream.sequence)
    cdef uint32_t timestamp = htonl(stream.timestamp), ssrc = htonl(stream.ssrc)
    rtp[0] = 0x80
    rtp[1] = stream.payload_type | (0x80 if stream.next_number % 50 == 0 else 0)
    memcpy(rtp + 2, &sequence, 2)
    memcpy(rtp + 4, &timestamp, 4)
    memcpy(rtp + 8, &ssrc, 4)
    payload_write(rtp, stream.payload_octets, loop.key, stream.number, stream.next_number, now)
    packet.length = 12 + stream.payload_octets
    packet.kind = KIND_RTP
    stream.sequence += 1
    stream.timestamp += stream.timestamp_step
    stream.next_number += 1
    stream.tally.written += 1

cdef void write_rtcp(Loop *loop, Stream *stream, Packet *packet) noexcept nogil:
    cdef Report report
    memset(&report, 0, sizeof(Report))
    report.ssrc = stream.ssrc
    report.stream = stream.number
    report.number = stream.rtcp_number
    report.realtime_ns = clock_ns(CLOCK_REALTIME)
    report.timestamp = stream.timestamp
    report.packets = <uint32_t>stream.next_number
    report.octets = <uint32_t>(stream.next_number * stream.payload_octets)
    report.heard_ssrc = stream.heard_ssrc
    report.heard_highest = stream.heard_sequence
    compound_write(packet.data, loop.key, &report)
    packet.length = COMPOUND
    packet.kind = KIND_RTCP
    stream.rtcp_number += 1

cdef uint32_t write_due(Loop *loop, uint64_t now) noexcept nogil:
    """Fill the batch with what is due; the number of packets."""
    cdef uint32_t item, n = 0
    cdef Stream *stream
    while n < BATCH and loop.events and loop.schedule[0].due <= now:
        item = loop.schedule[0].item
        stream = &loop.streams[item >> 1]
        if not item & 1 and stream.tally.written >= loop.packets_each:
            retire(loop)
            continue
        prepare(loop, n)
        loop.packets[n].flow = item >> 1
        loop.packets[n].crypto = stream.transmit
        loop.packets[n].received_ns = now
        if item & 1:
            write_rtcp(loop, stream, &loop.packets[n])
            postpone(loop, stream.rtcp_interval_ns, now)
        else:
            write_rtp(loop, stream, &loop.packets[n], now)
            postpone(loop, stream.interval_ns, now)
        n += 1
    return n

cdef void send_batch(Loop *loop, uint32_t count) noexcept nogil:
    cdef uint32_t n
    cdef Packet *packet
    cdef Stream *stream
    cdef bint shared = False
    if loop.engine != NULL:
        engine_seal(loop.engine, loop.batch, count)
    for n in range(count):
        packet = &loop.packets[n]
        stream = &loop.streams[packet.flow]
        if packet.drop != DROP_NONE:
            stream.tally.drops[packet.drop] += 1
        elif stream.hub != NOBODY:
            shared = True
        else:
            send_alone(stream, packet)
    if shared:
        for n in range(loop.hub_count):
            send_shared(loop, n, count)

cdef void send_alone(Stream *stream, Packet *packet) noexcept nogil:
    cdef bint rtcp = packet.kind == KIND_RTCP
    cdef int fd = stream.rtcp_fd if rtcp else stream.rtp_fd
    cdef ssize_t done = send(fd, packet.data, packet.length, MSG_DONTWAIT)
    if done < 0:                        # may be the ICMP error of an earlier packet: reported once, so try again
        done = send(fd, packet.data, packet.length, MSG_DONTWAIT)
    settle(stream, rtcp, done >= 0)

cdef void send_shared(Loop *loop, uint32_t hub, uint32_t count) noexcept nogil:
    """Everything in the batch that leaves by this socket, in one call where the kernel lets it."""
    cdef uint32_t n, filled = 0, gone = 0
    cdef int done
    cdef Packet *packet
    cdef Stream *stream
    for n in range(count):
        packet = &loop.packets[n]
        stream = &loop.streams[packet.flow]
        if packet.drop != DROP_NONE or stream.hub != hub:
            continue
        loop.outgoing_vectors[filled].iov_base = packet.data
        loop.outgoing_vectors[filled].iov_len = packet.length
        loop.outgoing[filled].msg_hdr.msg_iov = &loop.outgoing_vectors[filled]
        loop.outgoing[filled].msg_hdr.msg_iovlen = 1
        loop.outgoing[filled].msg_hdr.msg_name = &stream.remote
        loop.outgoing[filled].msg_hdr.msg_namelen = sizeof(sockaddr_in)
        loop.outgoing_packets[filled] = n
        filled += 1
    while gone < filled:
        done = sendmmsg(loop.hubs[hub].fd, &loop.outgoing[gone], filled - gone, MSG_DONTWAIT)
        for n in range(gone, gone + <uint32_t>max(done, 1)):
            packet = &loop.packets[loop.outgoing_packets[n]]
            settle(&loop.streams[packet.flow], packet.kind == KIND_RTCP, done > 0)
        gone += <uint32_t>max(done, 1)  # the first one failed: the others may not

cdef inline void settle(Stream *stream, bint rtcp, bint sent) noexcept nogil:
    if not sent:
        stream.tally.send_errors += 1
    elif rtcp:
        stream.tally.rtcp_sent += 1
    else:
        stream.tally.sent += 1
