# The arena: one mapping, addressed by offsets from its start, shared by holder, workers and control.
#
#   ArenaHeader | WorkerBlock x workers | homes | per worker: commands replies punts injects flows sockets marks engine
#
# Every line of a WorkerBlock has one writer.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kernels.control.records cimport (
    COMMAND_OCTETS, COMMAND_SLOTS, INJECT_OCTETS, INJECT_SLOTS, PUNT_OCTETS, PUNT_SLOTS, REPLY_OCTETS, REPLY_SLOTS,
    Command, CryptoCommand, FlowParameters, Inject, Punt, ReplyRecord,
)
from kernels.control.ring cimport Ring, ring_footprint
from kernels.flow.counters cimport COUNTER_COUNT, COUNTERS
from kernels.flow.table cimport Flow
from kernels.srtp.context cimport EngineSizes
from kernels.srtp.engine cimport engine_footprint
from kernels.srtp.tables cimport Crypto, KeySlot, Stream
from kernels.wire.packet cimport DROP_COUNT, Peer

cdef enum:
    ARENA_MAGIC = 0x53475741    # "SGWA"
    ARENA_VERSION = 2           # raise it when a meaning changes and no size does
    STRUCTS = 16

cpdef enum WorkerState:
    STATE_BOOT = 0              # not yet in its loop
    STATE_RUN = 1
    STATE_DRAIN = 2             # wanted: no new calls (the control process heeds it)
    STATE_HALT = 3              # left its loop when asked
    STATE_FAIL = 4              # cannot run

cdef struct Capacities:         # per worker
    uint32_t sockets            # of its own port range
    uint32_t flows
    uint32_t cryptos
    uint32_t keys
    uint32_t streams
    uint32_t calls
    uint32_t all_sockets        # of all workers: what a socket number counts

cdef struct ArenaHeader:
    uint32_t magic
    uint32_t version
    uint32_t structs[STRUCTS]   # sizes of everything shared (layout_structs)
    uint32_t workers
    Capacities capacities
    uint64_t octets             # of the whole arena
    uint64_t homes              # offset: uint8_t by socket number, the worker that serves the socket now
    uint8_t pad[8]

cdef struct WorkerBlock:
    # written by the holder
    uint32_t wanted             # WorkerState: RUN, DRAIN, HALT
    int32_t pid
    uint32_t restarts
    int32_t cpu                 # -1: not pinned
    uint8_t pad0[48]
    # written by the worker
    uint32_t state              # WorkerState
    uint32_t formatted          # its tables are valid: a successor adopts them
    uint64_t heartbeat_ns       # CLOCK_MONOTONIC
    uint8_t pad1[48]
    # written by the control process
    uint32_t next_ticket
    uint8_t pad2[60]
    # the worker's own, then the copy that others read
    uint64_t counters[COUNTERS]
    uint32_t sequence
    uint8_t pad3[60]
    uint64_t published[COUNTERS]
    # offsets from the start of the arena, written once
    uint64_t commands
    uint64_t replies
    uint64_t punts
    uint64_t injects
    uint64_t flows
    uint64_t sockets            # uint32_t each: flow by socket number (of all workers)
    uint64_t marks              # uint8_t each: by crypto
    uint64_t engine

cdef inline uint64_t aligned(uint64_t octets) noexcept nogil:
    return (octets + 63) & ~<uint64_t>63

cdef inline void engine_sizes(const Capacities *capacities, EngineSizes *sizes) noexcept nogil:
    sizes.cryptos = capacities.cryptos
    sizes.keys = capacities.keys
    sizes.streams = capacities.streams

cdef inline void layout_structs(uint32_t *sizes) noexcept nogil:
    """What both sides must agree on, in a fixed order (names in arena.py's table)."""
    sizes[0] = sizeof(ArenaHeader)
    sizes[1] = sizeof(WorkerBlock)
    sizes[2] = sizeof(Ring)
    sizes[3] = sizeof(Command)
    sizes[4] = sizeof(ReplyRecord)
    sizes[5] = sizeof(Punt)
    sizes[6] = sizeof(Inject)
    sizes[7] = sizeof(Flow)
    sizes[8] = sizeof(FlowParameters)
    sizes[9] = sizeof(CryptoCommand)
    sizes[10] = sizeof(Peer)
    sizes[11] = COUNTER_COUNT
    sizes[12] = DROP_COUNT
    sizes[13] = sizeof(Crypto)
    sizes[14] = sizeof(KeySlot)
    sizes[15] = sizeof(Stream)

cdef inline uint64_t layout_homes(uint32_t workers) noexcept nogil:
    """Where the table of homes begins."""
    return aligned(sizeof(ArenaHeader) + <uint64_t>workers * sizeof(WorkerBlock))

cdef inline uint64_t layout_worker(const Capacities *c, uint64_t start, WorkerBlock *block) noexcept nogil:
    """Place a worker's region at `start` (offsets into `block`); returns its end."""
    cdef EngineSizes sizes
    engine_sizes(c, &sizes)
    block.commands = aligned(start)
    block.replies = aligned(block.commands + ring_footprint(COMMAND_SLOTS, COMMAND_OCTETS))
    block.punts = aligned(block.replies + ring_footprint(REPLY_SLOTS, REPLY_OCTETS))
    block.injects = aligned(block.punts + ring_footprint(PUNT_SLOTS, PUNT_OCTETS))
    block.flows = aligned(block.injects + ring_footprint(INJECT_SLOTS, INJECT_OCTETS))
    block.sockets = aligned(block.flows + <uint64_t>c.flows * sizeof(Flow))
    block.marks = aligned(block.sockets + <uint64_t>c.all_sockets * sizeof(uint32_t))
    block.engine = aligned(block.marks + c.cryptos)
    return aligned(block.engine + engine_footprint(&sizes))
