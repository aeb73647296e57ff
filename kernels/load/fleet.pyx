# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A fleet of endpoints over ports: each turn sends what is due on every side and verifies what has arrived there.

It does not sleep: it has a core of its own, and a wait would be part of every latency it measures.
"""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from kernels.clib.datagrams cimport CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, clock_ns
from kernels.load.fleet cimport MOST_SIDES, Pool, Side
from kernels.load.histogram cimport Histogram, histogram_above, histogram_percentile
from kernels.load.keying cimport Keying, keying_attach, keying_free, keying_install
from kernels.load.payload cimport PAYLOAD_LEAST
from kernels.load.shuttle cimport fleet_listen, fleet_send
from kernels.load.stream cimport NOBODY, Tally
from kernels.load.talker cimport Talker
from kernels.port.address cimport peer_parse
from kernels.port.port cimport AnyPort
from kernels.srtp.context cimport CRYPTO_SEND
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_COUNT, FRAME, NO_SLOT

from kernels.load.plan import LATE_MS, Latency, RunReport, StreamReport
from kernels.wire.packet import Drop

PATTERN_KEY = 0x7372747067772121        # as kernels.load.endpoints has it

cdef enum:
    SLICE = 100000000                   # ns between looks at signals

cdef extern from "<sched.h>" nogil:
    int sched_yield()


# --- the loop ---------------------------------------------------------------------------------------------------------

cdef bint all_written(const Pool *pool) noexcept nogil:
    """Every talker has written its packets of this run."""
    cdef uint32_t n
    if pool.packets_each == UINT64_MAX:
        return False
    for n in range(pool.side_count):
        if pool.sides[n].tally.sent + pool.sides[n].tally.send_errors < pool.packets_each * pool.sides[n].count:
            return False
    return True

cdef bint turn(Pool *pool) noexcept nogil:
    """Send and listen once on every side; True when the run is over."""
    cdef uint64_t now = clock_ns(CLOCK_MONOTONIC)
    cdef bint busy = False, heard = False
    cdef uint32_t n
    if not pool.ended_ns and (now >= pool.stop_ns or all_written(pool)):
        pool.ended_ns = pool.quiet_since = now
        pool.end_ns = now + 10 * pool.settle_ns
    for n in range(pool.side_count):
        if not pool.ended_ns:
            busy |= fleet_send(pool, &pool.sides[n], now)
        heard |= fleet_listen(pool, &pool.sides[n])
    if heard:
        pool.quiet_since = now
    elif not busy:
        sched_yield()
    return pool.ended_ns and (now - pool.quiet_since >= pool.settle_ns or now >= pool.end_ns)

cdef bint turns(Pool *pool, uint64_t until) noexcept nogil:
    cdef uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID)
    cdef bint over = False
    while not over and clock_ns(CLOCK_MONOTONIC) < until:
        over = turn(pool)
    pool.cpu_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu
    return over


# --- Python's side ----------------------------------------------------------------------------------------------------

cdef class Fleet:
    cdef Pool pool
    cdef Keying keying
    cdef list ports                     # kept alive
    cdef dict places                    # number -> place

    def __cinit__(self):
        memset(&self.pool, 0, sizeof(Pool))
        memset(&self.keying, 0, sizeof(Keying))

    def __init__(self, ports, talkers, pattern_key=PATTERN_KEY):
        cdef uint32_t n
        self.ports = [port for port, _ in ports]
        if not 0 < len(ports) <= MOST_SIDES:
            raise ValueError("one or two ports")
        if not talkers:
            raise ValueError("no talkers")
        self.pool.key, self.pool.count, self.pool.side_count = pattern_key, len(talkers), len(ports)
        self.pool.talkers = <Talker *>calloc(self.pool.count, sizeof(Talker))
        if self.pool.talkers == NULL:
            raise MemoryError
        for n, (port, sockets) in enumerate(ports):
            self._open_side(n, port, sockets)
        for n, talker in enumerate(talkers):
            self._place(n, talker.side, talker.socket, talker.stream)
        self._introduce(talkers)

    cdef _open_side(self, uint32_t number, AnyPort port, uint32_t sockets):
        cdef Side *side = &self.pool.sides[number]
        cdef uint32_t n
        side.port, side.sockets = port.port, sockets
        side.by_socket = <uint32_t *>calloc(sockets + 1, sizeof(uint32_t))
        side.places = <uint32_t *>calloc(self.pool.count, sizeof(uint32_t))
        side.frames = <uint8_t *>calloc(BATCH, FRAME)
        if side.by_socket == NULL or side.places == NULL or side.frames == NULL:
            raise MemoryError
        memset(side.by_socket, 0xFF, sockets * sizeof(uint32_t))
        for n in range(BATCH):
            side.batch[n] = &side.packets[n]

    def _place(self, uint32_t place, uint32_t number, uint32_t socket, stream):
        """One talker on its socket, with what it sends."""
        cdef Talker *talker = &self.pool.talkers[place]
        cdef Side *side
        if number >= self.pool.side_count or socket >= self.pool.sides[number].sockets:
            raise ValueError(f"talker {place}: no such port or socket")
        if not PAYLOAD_LEAST <= stream.payload_octets <= DATAGRAM - 12 or not 0 <= stream.payload_type <= 127:
            raise ValueError(f"talker {place}: impossible payload")
        if stream.remote is None or stream.expects is None:
            raise ValueError(f"talker {place}: remote and expects are needed")
        side = &self.pool.sides[number]
        if side.by_socket[socket] != NOBODY:
            raise ValueError(f"talker {place}: another one has its socket")
        side.by_socket[socket] = side.places[side.count] = place
        side.count += 1
        talker.number = place if stream.number is None else stream.number
        talker.expected, talker.socket, talker.side, talker.ssrc = stream.expects, socket, number, stream.ssrc
        talker.sequence, talker.payload_type = stream.first_sequence, stream.payload_type
        talker.payload_octets, talker.timestamp_step = stream.payload_octets, stream.timestamp_step
        talker.remote = peer_parse(stream.remote[0], stream.remote[1])
        talker.transmit = talker.receive = NO_SLOT
        if stream.transform is not None:
            self._secure(talker, place, stream)

    cdef _secure(self, Talker *talker, uint32_t place, stream):
        keying_attach(&self.keying, self.pool.count)
        self.pool.engine = &self.keying.engine
        if stream.send_key is not None:
            keying_install(&self.keying, 2 * place, stream.transform, stream.send_key, CRYPTO_SEND)
            talker.transmit = 2 * place
        if stream.receive_key is not None:
            keying_install(&self.keying, 2 * place + 1, stream.transform, stream.receive_key, 0)
            talker.receive = 2 * place + 1

    cdef _introduce(self, talkers):
        """Everybody to the one that it hears."""
        cdef uint32_t place
        self.places = {self.pool.talkers[place].number: place for place in range(self.pool.count)}
        if len(self.places) != self.pool.count:
            raise ValueError("two talkers have the same number")
        for place in range(self.pool.count):
            self.pool.talkers[place].partner = self.places.get(self.pool.talkers[place].expected, NOBODY)

    def start(self, run):
        cdef Pool *pool = &self.pool
        cdef Side *side
        cdef Talker *talker
        cdef uint32_t n
        cdef double rate = run.packets_per_s
        if not rate > 0:
            raise ValueError("a fleet needs packets_per_s")
        for n in range(pool.side_count):
            side = &pool.sides[n]
            memset(&side.tally, 0, sizeof(Tally))
            side.planned, side.packets_per_ns = 0, rate / 1e9 * side.count / pool.count
        for n in range(pool.count):
            talker = &pool.talkers[n]
            talker.first_number, talker.heard, talker.refused = talker.next_number, 0, 0
        for n in range(pool.count):
            talker = &pool.talkers[n]
            if talker.partner != NOBODY:
                talker.expected_from = pool.talkers[talker.partner].first_number
        memset(&pool.latency, 0, sizeof(Histogram))
        pool.packets_each = run.packets if run.packets else UINT64_MAX
        pool.settle_ns, pool.end_ns, pool.ended_ns = run.settle_ms * 1000000, 0, 0
        pool.behind_ns = pool.skipped = pool.cpu_ns = 0
        pool.started_ns = clock_ns(CLOCK_MONOTONIC)
        pool.stop_ns = pool.started_ns + <uint64_t>(run.seconds * 1e9)

    def step(self):
        return turn(&self.pool)

    def perform(self, run):
        cdef bint over = False
        self.start(run)
        while not over:
            with nogil:
                over = turns(&self.pool, clock_ns(CLOCK_MONOTONIC) + SLICE)
            PyErr_CheckSignals()

    def report(self):
        return [self._side_report(number) for number in range(self.pool.side_count)]

    cdef _side_report(self, uint32_t number):
        cdef Side *side = &self.pool.sides[number]
        cdef Tally tally = side.tally
        cdef uint64_t lost = 0
        cdef uint32_t n
        for n in range(side.count):
            lost += missing(&self.pool, &self.pool.talkers[side.places[n]])
        return StreamReport(
            number=number, sent=tally.sent, received=tally.received, lost=lost, duplicated=tally.duplicated,
            reordered=tally.reordered, corrupted=tally.corrupted, header_changed=tally.header_changed,
            misrouted=tally.misrouted, send_errors=tally.send_errors, rtcp_sent=0, rtcp_received=0, rtcp_corrupted=0,
            drops={Drop(reason).name.removeprefix("DROP_").lower(): tally.drops[reason]
                   for reason in range(<uint32_t>DROP_COUNT) if tally.drops[reason]},
            latency_us=latency(&self.pool.latency),
        )

    def silent(self):
        cdef const Talker *talker
        cdef uint32_t n, count = 0
        for n in range(self.pool.count):
            talker = &self.pool.talkers[n]
            count += talker.heard == 0 and missing(&self.pool, talker) > 0
        return count

    def summary(self):
        cdef const Pool *pool = &self.pool
        return RunReport(
            seconds=(pool.ended_ns - pool.started_ns) / 1e9, cpu_ns=pool.cpu_ns, behind_us=pool.behind_ns / 1e3,
            skipped=pool.skipped, latency_us=latency(&pool.latency),
            late=histogram_above(&pool.latency, LATE_MS * 1000000),
        )

    def __dealloc__(self):
        cdef uint32_t n
        keying_free(&self.keying)
        free(self.pool.talkers)
        for n in range(MOST_SIDES):
            free(self.pool.sides[n].by_socket)
            free(self.pool.sides[n].places)
            free(self.pool.sides[n].frames)


cdef uint64_t missing(const Pool *pool, const Talker *talker) noexcept nogil:
    """What the partner sent in this run and the talker did not hear."""
    cdef const Talker *partner
    cdef uint64_t sent
    if talker.partner == NOBODY:
        return 0
    partner = &pool.talkers[talker.partner]
    sent = partner.next_number - partner.first_number - partner.refused
    return sent - talker.heard if sent > talker.heard else 0

cdef latency(const Histogram *histogram):
    values = [histogram_percentile(histogram, part) / 1e3 for part in (500, 990, 999)]
    return Latency(p50=values[0], p99=values[1], p999=values[2], longest=histogram.longest / 1e3)
