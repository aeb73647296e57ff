# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The worker: one loop without the GIL over one port and its region of the arena.

Allocates nothing, locks nothing, logs nothing. Everything that must outlive it is in the arena; `Loop` is
rebuilt by the next worker (`Worker(...)` adopts what a dead one left).
"""
from libc.errno cimport ENOMEM
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from kernels.cipher.hmac cimport hmac_key
from kernels.clib.linux cimport CLOCK_MONOTONIC, CLOCK_THREAD_CPUTIME_ID, clock_ns, explicit_bzero, write
from kernels.control.arena cimport Arena
from kernels.control.execute cimport command_execute
from kernels.control.layout cimport (
    STATE_FAIL, STATE_HALT, STATE_RUN, ArenaHeader, Capacities, Transfer, WorkerBlock, engine_sizes,
)
from kernels.control.records cimport (
    COMMAND_NONE, FLOW_ICE, FLOW_MEMBER, FLOW_SECURE, HANDOFF_OCTETS, HANDOFF_SLOTS, Command, Inject, ReplyRecord,
)
from kernels.control.ring cimport Ring, ring_footprint, ring_peek, ring_release, ring_reserve, ring_submit
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.control.worker cimport IDLE_MS, ORDERS_A_TURN, PUBLISH_NS, SETTLE_MS, Loop
from kernels.flow.counters cimport (
    COUNTER_BUSY_NS, COUNTER_COMMANDS, COUNTER_COMMANDS_REFUSED, COUNTER_COOKIES, COUNTER_COUNT, COUNTER_FORWARDED,
    COUNTER_HANDED_OVER,
    COUNTER_ICE_ANSWERED, COUNTER_ICE_REFUSED, COUNTER_INJECT_FAILED, COUNTER_INJECTED, COUNTER_INTERRUPTED,
    COUNTER_OVERFLOWS, COUNTER_PUNTED, COUNTER_RECEIVED, COUNTER_RING_RECEIVED, COUNTER_TAKEN_OVER, COUNTER_TURNS,
    COUNTER_WORK_NS, count, counted,
)
from kernels.flow.handoff cimport (
    LOBBY, Handoffs, Neighbour, handoff_doze, handoff_prepare, handoff_rise, handoff_take, handoff_wake, home_owner,
)
from kernels.flow.ice cimport ice_adopt, ice_may_inject
from kernels.flow.ice_table cimport IceAgent
from kernels.flow.pipeline cimport PuntBudget, pipeline_run, pipeline_settle
from kernels.flow.routes_table cimport Routes
from kernels.flow.samples cimport Samples, samples_adopt
from kernels.flow.table cimport LEARN_OPEN, Flow, flow_at
from kernels.port.port cimport AnyPort
from kernels.srtp.context cimport EngineSizes
from kernels.srtp.engine cimport engine_attach, engine_detach, engine_seal
from kernels.wire.atomics cimport load_acquire_u8, load_acquire_u32, store_release_u32, store_release_u64
from kernels.wire.packet cimport (
    BATCH, DATAGRAM, DROP_COUNT, DROP_NONE, DROP_NOT_KEYED, FRAME, HEADROOM, KIND_RTCP, NO_SLOT, Packet,
)
from kernels.wire.rtp cimport classify, rtcp_check

import os

cdef enum:
    HOMES_PAGE = 4096           # sockets compared at a time


cdef void worker_loop(Loop *w) noexcept nogil:
    while worker_wanted(w):
        worker_turn(w)


cdef bint worker_wanted(const Loop *w) noexcept nogil:
    return load_acquire_u32(&w.block.wanted) != STATE_HALT


cdef void worker_turn(Loop *w) noexcept nogil:
    cdef uint32_t n = w.port.receive(w.port, w.batch, BATCH, handoff_doze(&w.path.handoffs, w.wait_ms, w.path.now))
    cdef uint32_t taken = 0
    cdef uint64_t since
    handoff_rise(&w.path.handoffs)
    w.path.now = since = clock_ns(CLOCK_MONOTONIC)
    if n:
        since = min(since, w.batch[0].received_ns)
        count(w.path.counters, COUNTER_RING_RECEIVED, w.port.from_rings)
        burst(w, n)
        w.port.release(w.port)
    if w.path.handoffs.workers:
        taken = take_over(w)
        handoff_wake(&w.path.handoffs)
    if n or taken:
        count(w.path.counters, COUNTER_WORK_NS, clock_ns(CLOCK_MONOTONIC) - since)
    housekeeping(w, n + taken)


cdef inline void burst(Loop *w, uint32_t n) noexcept nogil:
    count(w.path.counters, COUNTER_RECEIVED, n)
    pipeline_run(&w.path, w.batch, n)
    w.port.transmit(w.port, w.path.live, w.path.live_count)
    pipeline_settle(&w.path, w.batch, n)


cdef inline uint32_t take_over(Loop *w) noexcept nogil:
    """What other workers received for us: one burst. How many."""
    cdef uint32_t n = handoff_take(&w.path.handoffs, w.batch, w.path.now)
    if n:
        count(w.path.counters, COUNTER_TAKEN_OVER, n)
        burst(w, n)
    return n


cdef void housekeeping(Loop *w, uint32_t received) noexcept nogil:
    """Heartbeat, a few commands, counters; decides how long the next turn may sleep."""
    cdef bint more
    store_release_u64(&w.block.heartbeat_ns, w.path.now)
    count(w.path.counters, COUNTER_TURNS, 1)
    more = take_orders(w)
    follow_homes(w)
    w.behind |= received > 0 or w.told or more
    if w.behind and (received == 0 or w.path.now - w.published_ns >= PUBLISH_NS):
        publish(w)
    if w.told or w.path.punted:
        tell_control(w)
    w.wait_ms = 0 if more else SETTLE_MS if w.behind else IDLE_MS


cdef bint take_orders(Loop *w) noexcept nogil:
    """What the control process put into its two rings, in the order in which it did (`Command.after`): an alert leaves
    before the command that takes its port away, a check after the one that installs its agent. At most a few; True when
    more wait (and could be taken).

    The datagram is looked for first: whatever was submitted before it can then be seen."""
    cdef uint32_t commands = 0, injections = 0
    cdef Command *command
    cdef Inject *record
    while commands < ORDERS_A_TURN and injections < ORDERS_A_TURN:
        record = <Inject *>ring_peek(w.injects)
        command = <Command *>ring_peek(w.commands)
        if command != NULL and command_due(w, command):
            if not take_command(w, command):
                return False                            # nobody reads replies: commands wait, and what comes after
            commands += 1
        elif record != NULL:
            take_injection(w, record)
            injections += 1
        elif command == NULL:
            return False
    return True


cdef inline bint command_due(const Loop *w, const Command *command) noexcept nogil:
    """Nothing that was injected before it waits. One that is half wiped was carried out."""
    return <int32_t>(command.after - w.injects.tail) <= 0 or command.kind == COMMAND_NONE


cdef bint take_command(Loop *w, Command *command) noexcept nogil:
    """A command leaves the ring, wiped, only after its reply is in the other: a worker that dies in between is followed
    by one that does it again. Its kind goes before its key: half wiped it must not be obeyed. False: no room to
    reply."""
    cdef ReplyRecord *reply = <ReplyRecord *>ring_reserve(w.replies)
    if reply == NULL:
        return False
    reply.ticket = command.ticket
    reply.error = command_execute(&w.path, command)
    count(w.path.counters, COUNTER_COMMANDS, 1)
    count(w.path.counters, COUNTER_COMMANDS_REFUSED, reply.error != 0)
    ring_submit(w.replies)
    store_release_u32(&command.kind, COMMAND_NONE)
    explicit_bzero(command, sizeof(Command))
    ring_release(w.commands)
    w.told = True
    return True


cdef void take_injection(Loop *w, Inject *record) noexcept nogil:
    """Send it. One that nobody can send is counted, no more: nobody is woken for it."""
    count(w.path.counters, COUNTER_INJECTED if send_injection(w, record) else COUNTER_INJECT_FAILED, 1)
    ring_release(w.injects)
    w.behind = True


cdef void follow_homes(Loop *w) noexcept nogil:
    """Sockets that came to us or left us since the port was last told. One load a turn when nothing changed."""
    cdef Handoffs *handoffs = &w.path.handoffs
    cdef uint32_t changes = load_acquire_u32(handoffs.home_changes)
    cdef uint32_t start = 0, end, socket
    cdef uint8_t home
    if changes == w.home_changes or handoffs.workers == 0:
        return
    w.home_changes = changes
    while start < handoffs.sockets:
        end = min(start + HOMES_PAGE, handoffs.sockets)
        if memcmp(&w.served[start], &handoffs.homes[start], end - start) != 0:
            for socket in range(start, end):
                home = load_acquire_u8(&handoffs.homes[socket])
                if w.port.serve != NULL and (home == handoffs.me) != (w.served[socket] == handoffs.me):
                    w.port.serve(w.port, socket, home == handoffs.me)
                w.served[socket] = home
        start = end


cdef bint send_injection(Loop *w, Inject *record) noexcept nogil:
    """Straight out of the ring's record, from the socket of its flow. With ICE, where its agent lets it (ICE-8). RTCP
    of a secure leg leaves as SRTCP, or not at all: sealed in a copy, as a successor may find the record again."""
    cdef uint8_t frame[FRAME]
    cdef Packet packet
    cdef Packet *batch = &packet
    cdef Flow *flow = flow_at(w.path.flows, w.path.flow_count, record.flow)
    if flow == NULL or record.length > DATAGRAM or record.to.family == 0:
        return False
    if flow.want.flags & FLOW_ICE and not ice_may_inject(&w.path, record.flow, &record.to, record.data[0]):
        return False
    memset(&packet, 0, sizeof(packet))
    packet.data = record.data
    packet.length = record.length
    packet.capacity = DATAGRAM
    packet.flow = flow.want.socket
    packet.crypto = NO_SLOT
    packet.peer = record.to
    packet.peer.tos = flow.want.tos
    if flow.want.flags & FLOW_SECURE and classify(packet.data, packet.length) == KIND_RTCP:
        memcpy(frame + HEADROOM, record.data, record.length)
        packet.data = frame + HEADROOM
        packet.capacity = FRAME - HEADROOM
        packet.kind = KIND_RTCP
        packet.crypto = flow.want.send
        packet.received_ns = w.path.now
        packet.drop = DROP_NOT_KEYED if packet.crypto == NO_SLOT else rtcp_check(packet.data, packet.length)
        engine_seal(w.path.engine, &batch, 1)
        if packet.drop != DROP_NONE:
            return False
    w.port.transmit(w.port, &batch, 1)
    return packet.drop == DROP_NONE


cdef void publish(Loop *w) noexcept nogil:
    """Copy the counters to where others read them."""
    w.path.counters[<uint32_t>COUNTER_BUSY_NS] = w.busy_base_ns + clock_ns(CLOCK_THREAD_CPUTIME_ID)
    w.path.counters[<uint32_t>COUNTER_OVERFLOWS] = w.overflow_base + w.port.overflows
    sequence_begin(&w.block.sequence)
    memcpy(w.block.published, w.block.counters, sizeof(w.block.counters))
    sequence_end(&w.block.sequence)
    w.published_ns = w.path.now
    w.behind = False


cdef void tell_control(Loop *w) noexcept nogil:
    cdef uint64_t one = 1
    if w.news >= 0:
        write(w.news, &one, sizeof(one))
    w.told = False
    w.path.punted = 0


# -- starting: bind the loop to its region, adopt what is there ------------------------------------------

cdef int worker_attach(Loop *w, uint8_t *base, const Capacities *c, WorkerBlock *block) noexcept nogil:
    """0 or negative errno. Fresh tables are formatted; those of a dead worker are taken over."""
    cdef EngineSizes sizes
    cdef bint fresh = not block.formatted
    cdef int error
    engine_sizes(c, &sizes)
    w.block = block
    w.commands = <Ring *>(base + block.commands)
    w.replies = <Ring *>(base + block.replies)
    w.injects = <Ring *>(base + block.injects)
    w.path.punts = <Ring *>(base + block.punts)
    w.path.engine = &w.engine
    w.path.flows = <Flow *>(base + block.flows)
    w.path.flow_count = c.flows
    w.path.sockets = <uint32_t *>(base + block.sockets)
    w.path.socket_count = c.all_sockets
    w.path.marks = base + block.marks
    w.path.crypto_count = c.cryptos
    w.path.ices = <IceAgent *>(base + block.ices)
    w.path.routes = <Routes *>(base + block.routes)
    w.path.route_count = c.calls
    w.path.counters = block.counters
    error = engine_attach(&w.engine, base + block.engine, &sizes, fresh)
    if error != 0:
        return error
    if fresh:
        memset(w.path.flows, 0, <uint64_t>c.flows * sizeof(Flow))
        memset(w.path.marks, 0, c.cryptos)
        memset(w.path.ices, 0, <uint64_t>c.flows * sizeof(IceAgent))
        memset(w.path.routes, 0, <uint64_t>c.calls * sizeof(Routes))
    samples_adopt(w.path.samples, fresh)
    adopt_flows(w)
    adopt_sockets(w)
    adopt_handoffs(w)
    adopt_rings(w)
    adopt_counters(w)
    block.formatted = 1
    w.told = not fresh                                  # whoever waits for replies may look again
    return 0


cdef void adopt_flows(Loop *w) noexcept nogil:
    """The flow table is the truth; the socket table follows from it. A change that was cut off loses its
    learnt address (it may be torn) and nothing else: the command itself is still in the ring. What an ICE agent
    selected is never torn, and says the address again."""
    cdef uint32_t i
    cdef Flow *flow
    memset(w.path.sockets, 0xFF, <uint64_t>w.path.socket_count * sizeof(uint32_t))
    for i in range(w.path.flow_count):
        flow = &w.path.flows[i]
        if flow.sequence & 1:
            flow.current = flow.want.remote
            flow.learning = LEARN_OPEN
            flow.learnt = 0
            sequence_end(&flow.sequence)
        if w.path.ices[i].sequence & 1:
            sequence_end(&w.path.ices[i].sequence)
        if flow.used and flow.want.flags & FLOW_ICE:
            ice_adopt(&w.path, i)
        if flow.used and flow.want.socket < w.path.socket_count and not flow.want.flags & FLOW_MEMBER:
            w.path.sockets[flow.want.socket] = i


cdef void adopt_sockets(Loop *w) noexcept nogil:
    """What the last worker took from kernel sockets and died before it counted."""
    cdef uint64_t received = counted(w.path.counters, COUNTER_RECEIVED)
    cdef uint64_t taken = w.port.cut_received + w.port.cut_taken
    if w.port.cut_taken and taken > received:
        count(w.path.counters, COUNTER_RECEIVED, taken - received)  # interrupted, as adopt_counters will find


cdef void adopt_handoffs(Loop *w) noexcept nogil:
    """Heads and tails of the rings know what was handed over and taken; the last worker may have died before it
    counted. Modulo 2^32, as ring positions are."""
    cdef Handoffs *handoffs = &w.path.handoffs
    cdef uint32_t given = 0, taken = 0, i
    for i in range(handoffs.workers):
        given += handoffs.neighbours[i].outgoing.head
        taken += handoffs.neighbours[i].incoming.tail
    taken -= <uint32_t>counted(w.path.counters, COUNTER_TAKEN_OVER)
    count(w.path.counters, COUNTER_TAKEN_OVER, taken)
    count(w.path.counters, COUNTER_RECEIVED, taken)     # interrupted, as adopt_counters will find
    count(w.path.counters, COUNTER_HANDED_OVER, given - <uint32_t>counted(w.path.counters, COUNTER_HANDED_OVER))
    handoff_rise(handoffs)


cdef void adopt_rings(Loop *w) noexcept nogil:
    """The consumer positions of AF_XDP rings know what was taken from them. A worker that died between that and its
    count had one burst in hand; anything else is a port without rings."""
    cdef uint32_t taken = w.port.ring_taken - <uint32_t>counted(w.path.counters, COUNTER_RING_RECEIVED)
    if taken <= BATCH:
        count(w.path.counters, COUNTER_RING_RECEIVED, taken)
        count(w.path.counters, COUNTER_RECEIVED, taken)  # interrupted, as adopt_counters will find


cdef void adopt_counters(Loop *w) noexcept nogil:
    """What was received and came to no end was in flight when the last worker died."""
    cdef uint64_t *counters = w.path.counters
    cdef uint64_t ended = counted(counters, COUNTER_FORWARDED) + counted(counters, COUNTER_PUNTED)
    cdef uint64_t received = counted(counters, COUNTER_RECEIVED)
    cdef uint32_t drop
    ended += counted(counters, COUNTER_INTERRUPTED) + counted(counters, COUNTER_HANDED_OVER)
    ended += counted(counters, COUNTER_ICE_ANSWERED) + counted(counters, COUNTER_ICE_REFUSED)
    ended += counted(counters, COUNTER_COOKIES)
    for drop in range(<uint32_t>DROP_COUNT):
        ended += counters[<uint32_t>COUNTER_COUNT + drop]
    if received > ended:
        count(counters, COUNTER_INTERRUPTED, received - ended)
    w.busy_base_ns = counted(counters, COUNTER_BUSY_NS)
    w.overflow_base = counted(counters, COUNTER_OVERFLOWS)
    w.overflow_base -= min(w.overflow_base, w.port.overflows)       # a port that goes on counting has them in it
    w.told = True


cdef int handoffs_attach(Handoffs *handoffs, uint8_t *base, uint32_t me) noexcept nogil:
    """Nothing to do for a worker that has no others. 0 or -ENOMEM."""
    cdef ArenaHeader *header = <ArenaHeader *>base
    cdef uint64_t octets = ring_footprint(HANDOFF_SLOTS, HANDOFF_OCTETS)
    cdef WorkerBlock *blocks = <WorkerBlock *>(base + sizeof(ArenaHeader))
    cdef Neighbour *neighbour
    cdef uint32_t i
    handoffs.homes = base + header.homes
    handoffs.sockets = header.capacities.all_sockets
    handoffs.me = me
    handoffs.home_changes = &header.home_changes
    handoffs.share = max(1, header.capacities.sockets)
    if header.workers < 2:
        return 0
    handoffs.neighbours = <Neighbour *>calloc(header.workers, sizeof(Neighbour))
    handoffs.frames = <uint8_t *>calloc(BATCH + LOBBY, FRAME)
    if handoffs.neighbours == NULL or handoffs.frames == NULL:
        return -ENOMEM
    handoffs.workers = header.workers
    handoff_prepare(handoffs)
    for i in range(header.workers):
        neighbour = &handoffs.neighbours[i]
        neighbour.outgoing = <Ring *>(base + header.handoffs + (me * header.workers + i) * octets)
        neighbour.incoming = <Ring *>(base + header.handoffs + (i * header.workers + me) * octets)
        neighbour.asleep = &blocks[i].asleep
        neighbour.doorbell = -1
    return 0


cdef int served_attach(Loop *w, uint8_t *base) noexcept nogil:
    """A port begins with the sockets of its own range; what a move changed is found by the first look."""
    cdef ArenaHeader *header = <ArenaHeader *>base
    cdef uint32_t socket
    w.served = <uint8_t *>calloc(w.path.handoffs.sockets + 1, 1)
    if w.served == NULL:
        return -ENOMEM
    for socket in range(w.path.handoffs.sockets):
        w.served[socket] = <uint8_t>home_owner(&w.path.handoffs, socket)
    w.home_changes = header.home_changes - 1
    w.path.transfers = <Transfer *>(base + header.transfers) if header.transfers else NULL
    w.path.samples = <Samples *>(base + header.samples) + w.path.handoffs.me
    return 0


cdef class Worker:
    """Worker `index` of an arena over a port. OSError when its tables cannot be attached, MemoryError.

    `news` is the eventfd that tells the control process; -1: nobody to tell. `doorbells`: of all workers, for those of
    them that sleep when a datagram is handed over to them.
    """
    cdef Loop *loop
    cdef Arena arena
    cdef AnyPort port

    def __cinit__(self, Arena arena, Py_ssize_t index, AnyPort port, int news=-1, uint64_t learning_ms=3000,
                  doorbells=()):
        cdef int error
        self.arena, self.port = arena, port             # keep both alive
        self.loop = <Loop *>calloc(1, sizeof(Loop))
        if self.loop == NULL:
            raise MemoryError
        self.loop.port = self.loop.path.port = port.port
        self.loop.path.copy_frames = <uint8_t *>calloc(BATCH, FRAME)
        if self.loop.path.copy_frames == NULL:
            raise MemoryError
        self.loop.path.budgets = <PuntBudget *>calloc(arena.header().capacities.flows, sizeof(PuntBudget))
        if self.loop.path.budgets == NULL:
            raise MemoryError
        self.loop.path.secret = <uint32_t>int.from_bytes(os.urandom(4))
        hmac_key(&self.loop.path.cookie_key, arena.header().cookie_secret, sizeof(arena.header().cookie_secret))
        self.loop.news = news
        self.loop.path.window_ns = learning_ms * 1000000
        arena.block(index)                              # IndexError
        if handoffs_attach(&self.loop.path.handoffs, arena.base, <uint32_t>index) != 0:
            raise MemoryError
        for i, doorbell in enumerate(doorbells[:self.loop.path.handoffs.workers]):
            self.loop.path.handoffs.neighbours[<Py_ssize_t>i].doorbell = doorbell
        if served_attach(self.loop, arena.base) != 0:
            raise MemoryError
        error = worker_attach(self.loop, arena.base, &arena.header().capacities, arena.block(index))
        if error != 0:
            self.loop.block.state = STATE_FAIL
            raise OSError(-error, f"worker {index}: engine: {os.strerror(-error)}")
        port.port.counters = self.loop.path.counters
        self.loop.path.now = clock_ns(CLOCK_MONOTONIC)
        self.loop.block.heartbeat_ns = self.loop.path.now
        store_release_u32(&self.loop.block.state, STATE_RUN)

    def __dealloc__(self):
        if self.loop != NULL:
            engine_detach(&self.loop.engine)
            free(self.loop.path.handoffs.neighbours)
            free(self.loop.path.handoffs.frames)
            free(self.loop.path.copy_frames)
            free(self.loop.path.budgets)
            free(self.loop.served)
            free(self.loop)

    def run(self):
        """Until the holder wants HALT. Never returns to Python in between."""
        with nogil:
            housekeeping(self.loop, 0)                  # a command that was cut off is redone before any packet
            worker_loop(self.loop)
            publish(self.loop)
            store_release_u32(&self.loop.block.state, STATE_HALT)

    def turn(self, int wait_ms=0):
        """One turn of the loop, for tests; counters are published after it."""
        self.loop.wait_ms = wait_ms
        with nogil:
            worker_turn(self.loop)
            publish(self.loop)
