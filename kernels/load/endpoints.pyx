# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Many RTP or SRTP endpoints in one thread without the GIL.

1. What is due (schedule) is written into frames with a verifiable payload, sealed in one batch, sent.
2. What has arrived is read per socket, opened in one batch, and compared octet for octet with what was sent.
3. Nothing is due and nothing has arrived: sleep in epoll until the next packet is due.

Every endpoint is a socket of its own, as a phone is, so packets of different streams cannot share one sendmmsg;
arrivals of one socket do share a recvmmsg.
"""
import resource
import socket

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign
from posix.time cimport timespec
from posix.unistd cimport close

from kernels.clib.datagrams cimport (
    CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, MSG_DONTWAIT,
    clock_ns, epoll_create1, epoll_ctl, epoll_event, epoll_pwait2, htonl, htons, iovec, mmsghdr, ntohl, ntohs, recvmmsg,
    send,
)
from kernels.clib.openssl cimport OPENSSL_cleanse
from kernels.load.compound cimport COMPOUND, Report, compound_read, compound_write
from kernels.load.histogram cimport Histogram, histogram_add, histogram_merge, histogram_percentile
from kernels.load.payload cimport PAYLOAD_LEAST, PayloadHead, payload_read, payload_write
from kernels.load.schedule cimport Event, schedule_order, schedule_sink
from kernels.load.stream cimport NOBODY, Stream, Tally, stream_first_copy
from kernels.srtp.context cimport CRYPTO_SEND, MAX_MKI, CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.engine cimport (
    engine_attach, engine_detach, engine_footprint, engine_install, engine_open, engine_seal,
)
from kernels.srtp.tables cimport Engine
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_COUNT, DROP_NONE, DROP_UNKNOWN_KIND, FRAME, HEADROOM, KIND_RTCP, KIND_RTP, NO_SLOT, Packet,
)

from kernels.load.plan import Latency, RunReport, StreamReport
from kernels.wire.packet import Drop

PATTERN_KEY = 0x7372747067772121        # both ends know it; it tells our payloads from anything else

cdef enum:
    PER_SOCKET = 8                      # datagrams of one socket and turn
    LAG_LIMIT = 200000000               # ns behind the schedule after which packets are left out, not caught up
    SLICE = 100000000                   # ns between looks at signals


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
    mmsghdr messages[64]
    iovec vectors[64]
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


# --- sending ----------------------------------------------------------------------------------------------------------

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

cdef inline void prepare(Loop *loop, uint32_t n) noexcept nogil:
    cdef Packet *packet = &loop.packets[n]
    packet.data = loop.frames + n * FRAME + HEADROOM
    packet.capacity = FRAME - HEADROOM
    packet.drop = DROP_NONE

cdef uint32_t write_due(Loop *loop, uint64_t now) noexcept nogil:
    """Fill the batch with what is due; the number of packets."""
    cdef uint32_t item, n = 0
    cdef Stream *stream
    while n < BATCH and loop.events and loop.schedule[0].due <= now:
        item = loop.schedule[0].item
        stream = &loop.streams[item >> 1]
        if not item & 1 and stream.tally.sent + stream.tally.send_errors >= loop.packets_each:
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
    cdef bint rtcp
    cdef ssize_t done
    if loop.engine != NULL:
        engine_seal(loop.engine, loop.batch, count)
    for n in range(count):
        packet = &loop.packets[n]
        stream = &loop.streams[packet.flow]
        if packet.drop != DROP_NONE:
            stream.tally.drops[packet.drop] += 1
            continue
        rtcp = packet.kind == KIND_RTCP
        done = send(stream.rtcp_fd if rtcp else stream.rtp_fd, packet.data, packet.length, MSG_DONTWAIT)
        if done < 0:                    # may be the ICMP error of an earlier packet: reported once, so try again
            done = send(stream.rtcp_fd if rtcp else stream.rtp_fd, packet.data, packet.length, MSG_DONTWAIT)
        if done < 0:
            stream.tally.send_errors += 1
        elif rtcp:
            stream.tally.rtcp_sent += 1
        else:
            stream.tally.sent += 1


# --- receiving --------------------------------------------------------------------------------------------------------

cdef inline uint8_t kind_of(const Packet *packet, bint own_socket) noexcept nogil:
    """RFC 5761 section 4 on a shared socket."""
    if packet.length < 8 or packet.data[0] >> 6 != 2:
        return 0
    if own_socket:
        return KIND_RTCP
    return KIND_RTCP if 64 <= packet.data[1] & 0x7F <= 95 else KIND_RTP

cdef uint32_t read_socket(Loop *loop, uint32_t item, uint32_t filled, uint64_t now) noexcept nogil:
    """Append arrivals of one socket to the batch; how many packets it holds then."""
    cdef Stream *stream = &loop.streams[item >> 1]
    cdef uint32_t n, room = min(<uint32_t>BATCH - filled, <uint32_t>PER_SOCKET)
    cdef int fd = stream.rtcp_fd if item & 1 else stream.rtp_fd
    cdef int count = recvmmsg(fd, &loop.messages[filled], room, MSG_DONTWAIT, NULL)
    cdef Packet *packet
    for n in range(filled, filled + <uint32_t>max(count, 0)):
        prepare(loop, n)
        packet = &loop.packets[n]
        packet.length = loop.messages[n].msg_len
        packet.flow = item >> 1
        packet.crypto = stream.receive
        packet.received_ns = now
        packet.kind = kind_of(packet, item & 1)
        if not packet.kind:
            packet.drop = DROP_UNKNOWN_KIND
    return filled + <uint32_t>max(count, 0)

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
        filled = read_socket(loop, ready[n].data.u32, filled, now)
        if filled > BATCH - PER_SOCKET:
            verify_batch(loop, filled)
            filled = 0
            now = clock_ns(CLOCK_MONOTONIC)
    if filled:
        verify_batch(loop, filled)
    loop.quiet_since = now
    return True


# --- the loop ---------------------------------------------------------------------------------------------------------

cdef bint finish_sending(Loop *loop, uint64_t now) noexcept nogil:
    """Stop when time is up or nobody has anything to send; RTCP alone does not keep a run with a packet limit going."""
    cdef uint32_t n
    if now < loop.stop_ns:
        if loop.packets_each == UINT64_MAX:
            return False
        for n in range(loop.events):
            if not loop.schedule[n].item & 1 and loop.schedule[n].due != UINT64_MAX:
                return False
        for n in range(loop.count):     # a run that only listens lasts its time
            if loop.streams[n].interval_ns and loop.streams[n].can_send:
                break
        else:
            return False
    loop.ended_ns = loop.quiet_since = now
    loop.end_ns = now + 10 * loop.settle_ns
    return True

cdef bint turn(Loop *loop, uint64_t until) noexcept nogil:
    """Run until `until`; True when the run is over."""
    cdef uint64_t now = clock_ns(CLOCK_MONOTONIC)
    cdef uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID)
    cdef uint64_t wait
    cdef uint32_t count
    cdef bint over = False
    while now < until and not over:
        wait = SLICE
        if not loop.end_ns and not finish_sending(loop, now):
            count = write_due(loop, now)
            if count:
                send_batch(loop, count)
            wait = min(wait, loop.stop_ns - now)
            if loop.events:
                wait = min(wait, loop.schedule[0].due - now if loop.schedule[0].due > now else 0)
        else:
            wait = min(wait, loop.settle_ns)
        receive(loop, wait)
        now = clock_ns(CLOCK_MONOTONIC)
        over = loop.end_ns and (now - loop.quiet_since >= loop.settle_ns or now >= loop.end_ns)
    loop.cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu
    return over


# --- Python's side ----------------------------------------------------------------------------------------------------

cdef class Endpoints:
    cdef Loop loop
    cdef Engine engine
    cdef void *engine_memory
    cdef list sockets
    cdef list configs
    cdef dict places                    # number -> place

    def __cinit__(self):
        memset(&self.loop, 0, sizeof(Loop))
        self.loop.epoll = -1
        self.engine_memory = NULL

    def __init__(self, streams, pattern_key=PATTERN_KEY):
        cdef uint32_t n
        self.configs, self.sockets = list(streams), []
        self.places = {place if config.number is None else config.number: place
                       for place, config in enumerate(self.configs)}
        if len(self.places) != len(self.configs):
            raise ValueError("two streams have the same number")
        self.loop.count, self.loop.key = len(self.configs), pattern_key
        self.loop.streams = <Stream *>calloc(max(self.loop.count, 1), sizeof(Stream))
        self.loop.schedule = <Event *>calloc(2 * max(self.loop.count, 1), sizeof(Event))
        self.loop.frames = <uint8_t *>calloc(BATCH, FRAME)
        self.loop.epoll = epoll_create1(EPOLL_CLOEXEC)
        if not self.loop.streams or not self.loop.schedule or not self.loop.frames or self.loop.epoll < 0:
            raise MemoryError
        for n in range(BATCH):
            self.loop.batch[n] = &self.loop.packets[n]
            self.loop.vectors[n].iov_base = self.loop.frames + n * FRAME + HEADROOM
            self.loop.vectors[n].iov_len = DATAGRAM
            self.loop.messages[n].msg_hdr.msg_iov = &self.loop.vectors[n]
            self.loop.messages[n].msg_hdr.msg_iovlen = 1
        allow_descriptors(2 * self.loop.count + 64)
        for n in range(self.loop.count):
            self._open(n, self.configs[n])

    def _open(self, uint32_t place, config):
        """Bind the sockets of one stream and set what it sends."""
        cdef Stream *stream = &self.loop.streams[place]
        if not PAYLOAD_LEAST <= config.payload_octets <= DATAGRAM - 12:
            raise ValueError(f"payload_octets: {config.payload_octets}, must be {PAYLOAD_LEAST} to {DATAGRAM - 12}")
        if not 0 <= config.payload_type <= 127:
            raise ValueError(f"payload_type: {config.payload_type}, must be 0 to 127")
        stream.number = place if config.number is None else config.number
        stream.expected = NOBODY if config.expects is None else config.expects
        stream.ssrc, stream.sequence = config.ssrc, config.first_sequence
        stream.payload_type, stream.payload_octets = config.payload_type, config.payload_octets
        stream.timestamp_step = config.timestamp_step
        stream.interval_ns, stream.rtcp_interval_ns = config.interval_us * 1000, config.rtcp_interval_us * 1000
        stream.transmit = stream.receive = NO_SLOT
        rtp = bound(config.local)
        rtcp = rtp if config.rtcp_local is None else bound(config.rtcp_local)
        self.sockets.append((rtp, rtcp))
        stream.rtp_fd, stream.rtcp_fd = rtp.fileno(), rtcp.fileno()
        self._watch(2 * place, stream.rtp_fd)
        if rtcp is not rtp:
            self._watch(2 * place + 1, stream.rtcp_fd)
        if config.remote is not None:
            self.connect(place, config.remote, config.rtcp_remote)
        if config.transform is not None:
            self.secure(place, config.transform, config.send_key, config.receive_key)

    cdef _watch(self, uint32_t item, int fd):
        cdef epoll_event event
        event.events, event.data.u32 = EPOLLIN, item
        if epoll_ctl(self.loop.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError("epoll_ctl")

    def connect(self, uint32_t place, remote, rtcp_remote=None):
        """Point a stream at where it sends to; from there alone it hears, as a socket that is connected does."""
        rtp, rtcp = self.sockets[place]
        rtp.connect(tuple(remote))
        if rtcp is not rtp:
            rtcp.connect(tuple(rtcp_remote) if rtcp_remote else (remote[0], remote[1] + 1))
        self.loop.streams[place].can_send = 1

    def secure(self, uint32_t place, transform, send_key, receive_key):
        cdef Stream *stream = &self.loop.streams[place]
        if send_key is not None:
            self._install(2 * place, transform, send_key, CRYPTO_SEND)
            stream.transmit = 2 * place
        if receive_key is not None:
            self._install(2 * place + 1, transform, receive_key, 0)
            stream.receive = 2 * place + 1

    cdef _install(self, uint32_t slot, transform, key, uint16_t flags):
        cdef CryptoParameters parameters
        cdef MasterKey master
        cdef int error
        cdef bytes secret = key.key, salt = key.salt, mki = key.mki
        if len(secret) != transform.key_octets or len(salt) != transform.salt_octets or len(mki) > MAX_MKI:
            raise ValueError("key, salt or MKI have the wrong length")
        self._attach()
        memset(&parameters, 0, sizeof(CryptoParameters))
        memset(&master, 0, sizeof(MasterKey))
        parameters.cipher, parameters.auth = transform.cipher_kind, transform.auth_kind
        parameters.key_octets, parameters.salt_octets = transform.key_octets, transform.salt_octets
        parameters.rtp_tag, parameters.rtcp_tag = transform.rtp_tag, transform.rtcp_tag
        parameters.mki_octets, parameters.kdr_log2 = len(mki), 255
        parameters.window, parameters.flags, parameters.ssrc_limit = 1024, flags, 2
        memcpy(master.key, <const uint8_t *>secret, len(secret))
        memcpy(master.salt, <const uint8_t *>salt, len(salt))
        memcpy(master.mki, <const uint8_t *>mki, len(mki))
        error = engine_install(&self.engine, slot, &parameters, &master)
        OPENSSL_cleanse(&master, sizeof(MasterKey))
        if error:
            raise OSError(-error, "engine_install")

    cdef _attach(self):
        """One engine for all streams, made when the first of them is secured."""
        cdef EngineSizes sizes
        cdef int error
        cdef size_t octets
        if self.loop.engine != NULL:
            return
        sizes.cryptos = sizes.keys = 2 * self.loop.count
        sizes.streams = 2 * sizes.cryptos
        octets = engine_footprint(&sizes)
        if posix_memalign(&self.engine_memory, 4096, octets):
            raise MemoryError
        memset(self.engine_memory, 0, octets)
        error = engine_attach(&self.engine, self.engine_memory, &sizes, True)
        if error:
            raise OSError(-error, "engine_attach")
        self.loop.engine = &self.engine

    def ports(self):
        return [(rtp.getsockname()[1], rtcp.getsockname()[1]) for rtp, rtcp in self.sockets]

    def perform(self, run):
        self.run(run.seconds, run.packets, run.interval_us, run.settle_ms)

    def run(self, double seconds, uint64_t packets=0, uint64_t interval_us=0, uint64_t settle_ms=300):
        cdef bint over = False
        self._start(seconds, packets, interval_us, settle_ms)
        while not over:
            with nogil:
                over = turn(&self.loop, clock_ns(CLOCK_MONOTONIC) + SLICE)
            PyErr_CheckSignals()

    cdef _start(self, double seconds, uint64_t packets, uint64_t interval_us, uint64_t settle_ms):
        """Empty the counts and spread the streams evenly over their interval."""
        cdef Loop *loop = &self.loop
        cdef uint64_t stagger, now = clock_ns(CLOCK_MONOTONIC)
        cdef Stream *stream
        cdef uint32_t place
        loop.events = 0
        for place in range(loop.count):
            stream = &loop.streams[place]
            memset(&stream.tally, 0, sizeof(stream.tally))
            memset(&stream.latency, 0, sizeof(stream.latency))
            stream.heard_first = stream.heard_highest
            if interval_us and stream.interval_ns:
                stream.interval_ns = interval_us * 1000
            if not stream.can_send:
                continue
            if stream.interval_ns:
                loop.schedule[loop.events].item = 2 * place
                loop.schedule[loop.events].due = now + stream.interval_ns * place // loop.count
                loop.events += 1
            if stream.rtcp_interval_ns:
                loop.schedule[loop.events].item = 2 * place + 1
                stagger = stream.interval_ns + stream.rtcp_interval_ns * place // loop.count
                loop.schedule[loop.events].due = now + stagger
                loop.events += 1
        schedule_order(loop.schedule, loop.events)
        loop.started_ns, loop.stop_ns = now, now + <uint64_t>(seconds * 1e9)
        loop.packets_each = packets if packets else UINT64_MAX
        loop.settle_ns, loop.end_ns, loop.ended_ns = settle_ms * 1000000, 0, 0
        loop.behind_ns = loop.skipped = loop.cpu_ns = 0

    def report(self):
        return [self._stream_report(place) for place in range(self.loop.count)]

    cdef _stream_report(self, uint32_t place):
        cdef Stream *stream = &self.loop.streams[place]
        cdef Tally tally = stream.tally
        return StreamReport(
            number=stream.number, sent=tally.sent, received=tally.received, lost=self._lost(stream),
            duplicated=tally.duplicated, reordered=tally.reordered, corrupted=tally.corrupted,
            header_changed=tally.header_changed, misrouted=tally.misrouted, send_errors=tally.send_errors,
            rtcp_sent=tally.rtcp_sent, rtcp_received=tally.rtcp_received, rtcp_corrupted=tally.rtcp_corrupted,
            drops=drops(stream),
            latency_us=latency(&stream.latency),
        )

    cdef _lost(self, Stream *stream):
        """Against what the sender really sent when it is one of ours, else against the newest packet heard."""
        cdef uint64_t missing
        place = self.places.get(stream.expected)
        if place is not None:
            missing = self.loop.streams[<uint32_t>place].tally.sent
        else:
            missing = stream.heard_highest - stream.heard_first
        return max(0, <object>missing - <object>stream.tally.received)

    def summary(self):
        cdef Histogram total
        cdef uint32_t place
        memset(&total, 0, sizeof(Histogram))
        for place in range(self.loop.count):
            histogram_merge(&total, &self.loop.streams[place].latency)
        return RunReport(
            seconds=(self.loop.ended_ns - self.loop.started_ns) / 1e9, cpu_ns=self.loop.cpu_ns,
            behind_us=self.loop.behind_ns / 1e3, skipped=self.loop.skipped, latency_us=latency(&total),
        )

    def close(self):
        for pair in self.sockets or ():
            for one in pair:
                one.close()
        self.sockets = []
        if self.loop.epoll >= 0:
            close(self.loop.epoll)
            self.loop.epoll = -1

    def __dealloc__(self):
        if self.loop.engine != NULL:
            engine_detach(&self.engine)
        free(self.engine_memory)
        free(self.loop.streams)
        free(self.loop.schedule)
        free(self.loop.frames)
        if self.loop.epoll >= 0:
            close(self.loop.epoll)


cdef drops(const Stream *stream):
    cdef uint32_t number
    counted = {}
    for number in range(<uint32_t>DROP_COUNT):
        if stream.tally.drops[number]:
            counted[Drop(number).name.removeprefix("DROP_").lower()] = stream.tally.drops[number]
    return counted


cdef latency(const Histogram *histogram):
    values = [histogram_percentile(histogram, part) / 1e3 for part in (500, 990, 999)]
    return Latency(p50=values[0], p99=values[1], p999=values[2], longest=histogram.longest / 1e3)


def bound(address):
    """A UDP socket on this address, IPv4 or IPv6."""
    one = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(tuple(address))
    one.setblocking(False)
    return one


def allow_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
