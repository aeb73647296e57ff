# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Many RTP or SRTP endpoints in one thread without the GIL.

1. What is due (schedule) is written into frames with a verifiable payload, sealed in one batch, sent.
2. What has arrived is read per socket, opened in one batch, and compared octet for octet with what was sent.
3. Nothing is due and nothing has arrived: sleep in epoll until the next packet is due.

Streams with the same local address share its socket, as the calls of a trunk may; the others have their own, as phones.
"""
import collections
import contextlib
import resource
import socket

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport UINT64_MAX, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.unistd cimport close

from kernels.clib.datagrams cimport (
    AF_INET, CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLLIN, clock_ns, epoll_create1,
    epoll_ctl, epoll_event, htons, inet_pton,
)
from kernels.load.histogram cimport Histogram, histogram_above, histogram_merge, histogram_percentile
from kernels.load.keying cimport Keying, keying_attach, keying_free, keying_install
from kernels.load.loop cimport HUB_ITEM, Hub, Loop
from kernels.load.payload cimport PAYLOAD_LEAST
from kernels.load.receiving cimport receive
from kernels.load.schedule cimport Event, schedule_order
from kernels.load.sending cimport send_batch, write_due
from kernels.load.stream cimport NOBODY, Stream, Tally
from kernels.srtp.context cimport CRYPTO_SEND
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_COUNT, FRAME, HEADROOM, NO_SLOT

from kernels.load.plan import LATE_MS, Latency, RunReport, StreamReport
from kernels.wire.packet import Drop

HUB_QUEUE = 8 << 20                     # octets: a shared socket holds the arrivals of all its streams
SO_RCVBUFFORCE = 33                     # Linux; `socket` does not name it
PATTERN_KEY = 0x7372747067772121        # both ends know it; it tells our payloads from anything else

cdef enum:
    SLICE = 100000000                   # ns between looks at signals


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
    cdef Keying keying
    cdef list sockets
    cdef list configs
    cdef dict hubs                      # local address of several streams -> place of their socket, and it
    cdef dict places                    # number -> place

    def __cinit__(self):
        memset(&self.loop, 0, sizeof(Loop))
        self.loop.epoll = -1
        memset(&self.keying, 0, sizeof(Keying))

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
            self.loop.named[n] = self.loop.messages[n]
            self.loop.named[n].msg_hdr.msg_name = &self.loop.names[n]
        allow_descriptors(2 * self.loop.count + 64)
        self._open_hubs()
        for n in range(self.loop.count):
            self._open(n, self.configs[n])

    cdef _open_hubs(self):
        """One socket for every local address that several streams name."""
        cdef uint32_t hub
        # Port 0 is whichever is free, another one for every stream.
        counted = collections.Counter(config.local for config in self.configs if config.local[1])
        shared = [local for local, streams in counted.items() if streams > 1]
        self.hubs = {}
        self.loop.hubs = <Hub *>calloc(max(len(shared), 1), sizeof(Hub))
        if not self.loop.hubs:
            raise MemoryError
        for hub, local in enumerate(shared):
            if ":" in local[0]:
                raise ValueError(f"{local}: a shared local address must be IPv4")
            one = bound(local, HUB_QUEUE)
            self.hubs[local] = hub, one
            self.loop.hubs[hub].fd = one.fileno()
            memset(self.loop.hubs[hub].by_port, 0xFF, sizeof(self.loop.hubs[hub].by_port))
            self._watch(HUB_ITEM | hub, self.loop.hubs[hub].fd)
            self.loop.hub_count += 1

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
        hub, rtp = self.hubs.get(config.local, (None, None))
        if rtp is not None and config.rtcp_local is not None:
            raise ValueError(f"{config.local}: streams that share a socket share it with RTCP too")
        stream.hub = NOBODY if hub is None else <uint32_t>hub
        rtp = bound(config.local) if rtp is None else rtp
        rtcp = rtp if config.rtcp_local is None else bound(config.rtcp_local)
        self.sockets.append((rtp, rtcp))
        stream.rtp_fd, stream.rtcp_fd = rtp.fileno(), rtcp.fileno()
        if stream.hub == NOBODY:
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
        cdef Stream *stream = &self.loop.streams[place]
        rtp, rtcp = self.sockets[place]
        if stream.hub == NOBODY:
            rtp.connect(tuple(remote))
        else:
            self._aim(stream, place, remote[0], remote[1])
        if rtcp is not rtp:
            rtcp.connect(tuple(rtcp_remote) if rtcp_remote else (remote[0], remote[1] + 1))
        stream.can_send = 1

    cdef _aim(self, Stream *stream, uint32_t place, str host, uint16_t port):
        """Where a stream of a shared socket sends to; arrivals from there are its own."""
        cdef bytes text = host.encode()
        cdef uint32_t *owner = &self.loop.hubs[stream.hub].by_port[htons(port)]
        if inet_pton(AF_INET, text, &stream.remote.sin_addr) != 1:
            raise ValueError(f"{host}: not an IPv4 address")
        if owner[0] != NOBODY and owner[0] != place:
            raise ValueError(f"two streams of one socket hear port {port}")
        if stream.can_send:
            self.loop.hubs[stream.hub].by_port[stream.remote.sin_port] = NOBODY
        stream.remote.sin_family, stream.remote.sin_port = AF_INET, htons(port)
        owner[0] = place

    def secure(self, uint32_t place, transform, send_key, receive_key):
        cdef Stream *stream = &self.loop.streams[place]
        keying_attach(&self.keying, self.loop.count)
        self.loop.engine = &self.keying.engine
        if send_key is not None:
            keying_install(&self.keying, 2 * place, transform, send_key, CRYPTO_SEND)
            stream.transmit = 2 * place
        if receive_key is not None:
            keying_install(&self.keying, 2 * place + 1, transform, receive_key, 0)
            stream.receive = 2 * place + 1

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
            late=histogram_above(&total, LATE_MS * 1000000),
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
        keying_free(&self.keying)
        free(self.loop.streams)
        free(self.loop.schedule)
        free(self.loop.hubs)
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


def bound(address, queue=0):
    """A UDP socket on this address, IPv4 or IPv6; `queue`: octets of its receive queue, as far as we may."""
    one = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(tuple(address))
    one.setblocking(False)
    if queue:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, queue)
        with contextlib.suppress(PermissionError):
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, queue)
    return one


def allow_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
