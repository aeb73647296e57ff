# cython: language_level=3
"""The arena as an object: map it, format it, check that both sides mean the same by it (see layout.pxd)."""
import os

from libc.errno cimport errno
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernels.clib.linux cimport MADV_DONTDUMP, PR_SET_DUMPABLE, explicit_bzero, madvise, mlock, prctl
from kernels.control.layout cimport (
    ARENA_MAGIC, ARENA_VERSION, HOME_MOVING, MOST_WORKERS, STRUCTS, TRANSFER_RECORDS, ArenaHeader, Capacities, Transfer,
    WorkerBlock, aligned, layout_handoffs, layout_homes, layout_hop_rows, layout_next_hops, layout_samples,
    layout_structs, layout_transfers, layout_wanted, layout_worker, transfers_octets,
)
from kernels.control.records cimport (
    COMMAND_OCTETS, COMMAND_SLOTS, HANDOFF_OCTETS, HANDOFF_SLOTS, INJECT_OCTETS, INJECT_SLOTS, PUNT_OCTETS, PUNT_SLOTS,
    REPLY_OCTETS, REPLY_SLOTS, Command, Handoff, Inject, Punt, ReplyRecord,
)
from kernels.control.ring cimport Ring, ring_footprint, ring_format
from kernels.flow.counters cimport COUNTER_COUNT, COUNTERS
from kernels.flow.ice_table cimport IceAgent
from kernels.flow.routes_table cimport ROUTE_MID, ROUTES, Routes
from kernels.flow.samples cimport Samples
from kernels.flow.table cimport FLOW_DROPS, Flow
from kernels.port.nexthop cimport WANTED, NextHop, NextHops, Wanted, wanted_take
from kernels.wire.packet cimport DROP_COUNT
from kernels.control import commands
from kernels.control.errors import LayoutMismatch

# What one call needs: two legs, each with an RTP and an RTCP port; two contexts per secure leg and one more while a leg
# is re-keyed; room for a second master key on half of them and for a second SSRC on each (forks, re-keying, a changed
# SSRC).
PER_CALL = {"flows": 4, "cryptos": 5, "keys": 6, "streams": 9}

NAMES = ("ArenaHeader", "WorkerBlock", "Ring", "Command", "ReplyRecord", "Punt", "Inject", "Flow", "FlowCommand",
         "CryptoCommand", "Peer", "COUNTER_COUNT", "DROP_COUNT", "Crypto", "KeySlot", "Stream", "Handoff",
         "MoveCommand", "Transfer", "Samples", "IceAgent", "IceParameters",
         "Routes", "RoutesParameters")

TRANSFERS = ("empty", "filling", "full", "taken")


cdef Capacities capacities_of(uint32_t workers, uint32_t calls, uint32_t sockets):
    cdef Capacities c
    c.calls = calls
    c.sockets = sockets
    c.all_sockets = workers * sockets
    c.flows = calls * <uint32_t>PER_CALL["flows"]
    c.cryptos = calls * <uint32_t>PER_CALL["cryptos"]
    c.keys = calls * <uint32_t>PER_CALL["keys"]
    c.streams = calls * <uint32_t>PER_CALL["streams"]
    return c


cdef uint64_t regions_start(uint32_t workers, const Capacities *c):
    return aligned(layout_samples(workers, c) + <uint64_t>workers * sizeof(Samples))


def footprint(uint32_t workers, uint32_t calls, uint32_t sockets):
    """Octets of an arena for so many workers, each with so many calls and sockets."""
    cdef Capacities c = capacities_of(workers, calls, sockets)
    cdef WorkerBlock block
    cdef uint64_t end = regions_start(workers, &c)
    for _ in range(workers):
        end = layout_worker(&c, end, &block)
    return (end + 4095) & ~4095


def structs():
    """Sizes of everything shared, by name: what this build means by the layout."""
    cdef uint32_t sizes[STRUCTS]
    layout_structs(sizes)
    return {NAMES[i]: sizes[i] for i in range(STRUCTS)}


def forbid_dumps():
    """No core files of this process, no ptrace by others (H4). OSError."""
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(errno, "PR_SET_DUMPABLE")


cdef class Arena:
    """A mapped arena. `fd` stays the caller's; the mapping lives as long as this object."""

    def __cinit__(self, int fd):
        self.octets = os.fstat(fd).st_size
        if self.octets < sizeof(ArenaHeader):
            raise LayoutMismatch("shorter than its header")
        self.mapping = Mapping(fd)
        self.base = self.mapping.base

    cdef ArenaHeader *header(self) noexcept:
        return <ArenaHeader *>self.base

    cdef WorkerBlock *block(self, Py_ssize_t index) except NULL:
        if not 0 <= index < self.header().workers:
            raise IndexError(f"no worker {index}")
        return <WorkerBlock *>(self.base + sizeof(ArenaHeader) + index * sizeof(WorkerBlock))

    def format(self, uint32_t workers, uint32_t calls, uint32_t sockets):
        """Lay out an empty arena of `footprint` octets (the holder, once)."""
        cdef ArenaHeader *header = self.header()
        cdef WorkerBlock *block
        cdef Capacities capacities = capacities_of(workers, calls, sockets)
        cdef uint64_t start = regions_start(workers, &capacities)
        cdef bytes secret = os.urandom(sizeof(header.cookie_secret))
        cdef uint32_t index
        if not 1 <= workers <= MOST_WORKERS:
            raise ValueError(f"{workers} workers, at most {MOST_WORKERS}")
        memset(self.base, 0, start)
        header.version = ARENA_VERSION
        layout_structs(header.structs)
        header.workers = workers
        header.capacities = capacities
        header.octets = self.octets
        header.homes = layout_homes(workers)
        header.next_hops = layout_next_hops(workers, &capacities)
        header.next_hop_rows = layout_hop_rows(workers, &capacities)
        header.wanted = layout_wanted(workers, &capacities)
        header.samples = layout_samples(workers, &capacities)
        for index in range(workers):
            memset(self.base + header.homes + <uint64_t>index * sockets, <int>index, sockets)
        self.format_handoffs(workers)
        for index in range(workers):
            block = self.block(index)
            start = layout_worker(&header.capacities, start, block)
            ring_format(<Ring *>(self.base + block.commands), COMMAND_SLOTS, COMMAND_OCTETS)
            ring_format(<Ring *>(self.base + block.replies), REPLY_SLOTS, REPLY_OCTETS)
            ring_format(<Ring *>(self.base + block.punts), PUNT_SLOTS, PUNT_OCTETS)
            ring_format(<Ring *>(self.base + block.injects), INJECT_SLOTS, INJECT_OCTETS)
        memcpy(header.cookie_secret, <const uint8_t *><const char *>secret, sizeof(header.cookie_secret))
        header.magic = ARENA_MAGIC

    cdef format_handoffs(self, uint32_t workers):
        cdef ArenaHeader *header = self.header()
        cdef uint32_t number
        if workers < 2:
            return
        header.handoffs = layout_handoffs(workers, &header.capacities)
        header.transfers = layout_transfers(workers, &header.capacities)
        memset(self.base + header.transfers, 0, transfers_octets(workers))
        for number in range(workers * workers):
            ring_format(<Ring *>(self.base + header.handoffs + number * ring_footprint(HANDOFF_SLOTS, HANDOFF_OCTETS)),
                        HANDOFF_SLOTS, HANDOFF_OCTETS)

    def check(self):
        """LayoutMismatch when the maker of the arena was another build than we are."""
        cdef ArenaHeader *header = self.header()
        if header.magic != ARENA_MAGIC or header.version != ARENA_VERSION:
            raise LayoutMismatch(f"layout version {header.version}, ours is {ARENA_VERSION}")
        wrong = [f"{name}: theirs {header.structs[i]}, ours {size}"
                 for i, (name, size) in enumerate(structs().items()) if header.structs[i] != size]
        if header.octets != self.octets:
            wrong.append(f"octets: theirs {header.octets}, mapped {self.octets}")
        if wrong:
            raise LayoutMismatch("; ".join(wrong))

    def capacities(self):
        """Slots per worker: calls, sockets, flows, cryptos, keys, streams; all_sockets: of all workers."""
        return dict(self.header().capacities)

    @property
    def cookie_secret(self):
        """What DTLS cookies are made with, the same for the life of the arena."""
        return bytes(self.header().cookie_secret[:sizeof(self.header().cookie_secret)])

    @property
    def homes(self):
        """Offset of the table of homes: one octet for each socket number."""
        return self.header().homes

    def home(self, uint32_t socket):
        """The worker that serves a socket, or is about to. IndexError."""
        if socket >= self.header().capacities.all_sockets:
            raise IndexError(f"no socket {socket}")
        return (self.base + self.header().homes)[socket] & ~<uint32_t>HOME_MOVING

    def transfers(self):
        """(state, id) of every transfer record; state: empty, filling, full, taken."""
        cdef Transfer *records = <Transfer *>(self.base + self.header().transfers)
        if not self.header().transfers:
            return []
        return [(TRANSFERS[records[i].state & 3], records[i].id) for i in range(<uint32_t>TRANSFER_RECORDS)]

    @property
    def workers(self):
        return self.header().workers

    def next_hops(self, Py_ssize_t worker=0):
        """The next-hop table, as `worker` reads it; the control process writes it."""
        cdef NextHops table = NextHops()
        table.rows = <NextHop *>(self.base + self.header().next_hops)
        table.count = self.header().next_hop_rows
        table.wanted = <Wanted *>(self.base + self.header().wanted) + worker * WANTED
        table.owner = self
        return table

    def take_wanted(self):
        """Destinations that workers wanted to send to and found no next hop for: [(interface number, address)]."""
        return wanted_take(<Wanted *>(self.base + self.header().wanted), self.header().workers * WANTED)

    def protect(self):
        """Keep the arena out of swap and core files, in large pages if possible. Returns what could not be had."""
        lacking = []
        if madvise(self.base, self.octets, MADV_DONTDUMP) != 0:
            lacking.append(f"MADV_DONTDUMP: {os.strerror(errno)}")
        if mlock(self.base, self.octets) != 0:
            lacking.append(f"mlock: {os.strerror(errno)}")
        self.mapping.gather()                   # after the lock, which made all pages
        return ", ".join(lacking)

    def wipe(self):
        """Zero everything. Only when no worker runs."""
        explicit_bzero(self.base, self.octets)

    def set_wanted(self, Py_ssize_t worker, uint32_t state):
        """Holder: what a worker is to do (WorkerState)."""
        self.block(worker).wanted = state

    def set_process(self, Py_ssize_t worker, int32_t pid, int32_t cpu, uint32_t restarts):
        """Holder: who runs this worker now."""
        cdef WorkerBlock *block = self.block(worker)
        block.pid, block.cpu, block.restarts = pid, cpu, restarts

    def set_state(self, Py_ssize_t worker, uint32_t state):
        """Holder, while no process runs the worker; else the worker itself."""
        self.block(worker).state = state

    def pulse(self, Py_ssize_t worker):
        """(state, heartbeat in CLOCK_MONOTONIC ns) of a worker."""
        cdef WorkerBlock *block = self.block(worker)
        return block.state, block.heartbeat_ns


def _check_sizes():
    """A build whose records outgrew their slots must not start."""
    for size, room in ((sizeof(Command), COMMAND_OCTETS), (sizeof(ReplyRecord), REPLY_OCTETS),
                       (sizeof(Punt), PUNT_OCTETS), (sizeof(Inject), INJECT_OCTETS),
                       (sizeof(Handoff), HANDOFF_OCTETS), (COUNTER_COUNT + DROP_COUNT, COUNTERS),
                       (DROP_COUNT, FLOW_DROPS)):
        if size > room:
            raise ImportError(f"layout: {size} does not fit {room}")
    if TRANSFER_RECORDS != commands.TRANSFER_RECORDS:
        raise ImportError("layout: TRANSFER_RECORDS of layout.pxd and commands.py differ")
    if ROUTES != commands.MOST_ROUTES or ROUTE_MID != commands.LONGEST_MID:
        raise ImportError("layout: MOST_ROUTES or LONGEST_MID of commands.py and routes_table.pxd differ")
    for size in (sizeof(ArenaHeader), sizeof(WorkerBlock), sizeof(Ring), sizeof(Flow), sizeof(Samples),
                 sizeof(IceAgent), sizeof(Routes)):
        if size % 64:
            raise ImportError(f"layout: {size} is no multiple of 64")


_check_sizes()
