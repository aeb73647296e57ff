# The arena: one mapping, addressed by offsets from its start, shared by holder, workers and control.
#
#   ArenaHeader | WorkerBlock x workers | homes | hand-off rings, from x to | transfers | next hops | wanted | samples |
#   per worker: commands replies punts injects flows sockets marks ices routes engine
#
# Every line of a WorkerBlock has one writer, but that of `asleep`.
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kernels.control.records cimport (
    COMMAND_OCTETS, COMMAND_SLOTS, HANDOFF_OCTETS, HANDOFF_SLOTS, INJECT_OCTETS, INJECT_SLOTS, PUNT_OCTETS, PUNT_SLOTS,
    MOVE_CRYPTOS, MOVE_SLOTS, REPLY_OCTETS, REPLY_SLOTS, Command, CryptoCommand, FlowCommand, Handoff, IceParameters,
    Inject, MoveCommand, Punt, ReplyRecord,
)
from kernels.control.ring cimport Ring, ring_footprint
from kernels.flow.counters cimport COUNTER_COUNT, COUNTERS
from kernels.flow.ice_table cimport IceAgent
from kernels.flow.routes_table cimport Routes, RoutesParameters
from kernels.flow.samples cimport Samples
from kernels.flow.table cimport Flow
from kernels.port.nexthop cimport WANTED, NextHop, Wanted
from kernels.srtp.context cimport EngineSizes
from kernels.srtp.engine cimport engine_footprint
from kernels.srtp.tables cimport Crypto, KeySlot, Stream
from kernels.wire.packet cimport DROP_COUNT, Peer

cdef enum:
    ARENA_MAGIC = 0x53475741    # "SGWA"
    ARENA_VERSION = 9           # raise it when a meaning changes and no size does
    STRUCTS = 24
    HOME_MOVING = 0x80          # in a home: the worker in the other bits is about to take the socket, nobody reads it
    MOST_WORKERS = 127

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

cdef enum TransferState:        # of a stream on its way (kernels/control/move.pxd)
    TRANSFER_EMPTY = 0
    TRANSFER_FILLING = 1        # whoever died here has not given anything away
    TRANSFER_FULL = 2           # the only copy of the contexts
    TRANSFER_TAKEN = 3          # the other worker has them

cdef enum:
    TRANSFER_RECORDS = 32
    TRANSFER_ROOM = 69632       # eight cryptos with 16 SSRCs and 16 master keys each

cdef struct Transfer:           # written by the worker that carries out a command on it, one at a time
    uint32_t state              # TransferState
    uint32_t reserved
    uint64_t id                 # of the move
    uint32_t flow_slots[MOVE_SLOTS]
    uint32_t crypto_slots[MOVE_CRYPTOS]
    uint32_t also[MOVE_CRYPTOS]     # CryptoParameters.also of each, as slots were at the worker that gave it away
    uint32_t octets[MOVE_CRYPTOS]   # of each crypto in `data`, one after the other
    Flow flows[MOVE_SLOTS]
    IceAgent ices[MOVE_SLOTS]       # each with its flow
    Routes routes[MOVE_SLOTS]       # owner 0: the flow has none
    uint8_t data[TRANSFER_ROOM]

cdef struct ArenaHeader:
    uint32_t magic
    uint32_t version
    uint32_t structs[STRUCTS]   # sizes of everything shared (layout_structs)
    uint32_t workers
    Capacities capacities
    uint64_t octets             # of the whole arena
    uint64_t homes              # offset: uint8_t by socket number, the worker that serves it now; HOME_MOVING
    uint64_t handoffs           # offset: the ring from worker i to j is number i * workers + j; 0: one worker, no rings
    uint64_t transfers          # offset: TRANSFER_RECORDS of them; 0: one worker, none
    uint64_t next_hops          # offset: NextHop rows of all workers (kernels/port/nexthop.pxd)
    uint64_t wanted             # offset: WANTED places of each worker
    uint32_t next_hop_rows      # a power of two
    uint8_t pad0[4]
    uint64_t samples            # offset: Samples of each worker (kernels/flow/samples.pxd)
    uint8_t pad2[8]
    uint32_t home_changes       # rises with every change of a home: workers look through the table again
    uint8_t cookie_secret[32]   # random, written once: what DTLS cookies are made with (kernels/flow/hello.pxd)
    uint8_t pad1[12]

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
    # written by the worker before it blocks, taken back by whoever wakes it
    uint32_t asleep
    uint8_t pad4[60]
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
    uint64_t ices               # IceAgent each: by flow
    uint64_t routes             # Routes each: a pool
    uint8_t pad5[48]

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
    sizes[8] = sizeof(FlowCommand)
    sizes[9] = sizeof(CryptoCommand)
    sizes[10] = sizeof(Peer)
    sizes[11] = COUNTER_COUNT
    sizes[12] = DROP_COUNT
    sizes[13] = sizeof(Crypto)
    sizes[14] = sizeof(KeySlot)
    sizes[15] = sizeof(Stream)
    sizes[16] = sizeof(Handoff)
    sizes[17] = sizeof(MoveCommand)
    sizes[18] = sizeof(Transfer)
    sizes[19] = sizeof(Samples)
    sizes[20] = sizeof(IceAgent)
    sizes[21] = sizeof(IceParameters)
    sizes[22] = sizeof(Routes)
    sizes[23] = sizeof(RoutesParameters)

cdef inline uint64_t layout_homes(uint32_t workers) noexcept nogil:
    """Where the table of homes begins."""
    return aligned(sizeof(ArenaHeader) + <uint64_t>workers * sizeof(WorkerBlock))

cdef inline uint64_t layout_handoffs(uint32_t workers, const Capacities *c) noexcept nogil:
    """Where the hand-off rings begin."""
    return aligned(layout_homes(workers) + c.all_sockets)

cdef inline uint64_t handoffs_octets(uint32_t workers) noexcept nogil:
    """Of all hand-off rings. A worker has one to itself too: for what arrives before the flow does (a move)."""
    if workers < 2:
        return 0
    return <uint64_t>workers * workers * ring_footprint(HANDOFF_SLOTS, HANDOFF_OCTETS)

cdef inline uint64_t layout_transfers(uint32_t workers, const Capacities *c) noexcept nogil:
    return aligned(layout_handoffs(workers, c) + handoffs_octets(workers))

cdef inline uint64_t transfers_octets(uint32_t workers) noexcept nogil:
    return 0 if workers < 2 else aligned(TRANSFER_RECORDS * sizeof(Transfer))

cdef inline uint32_t layout_hop_rows(uint32_t workers, const Capacities *c) noexcept nogil:
    """As many as there are flows: RTP and RTCP of a leg go to one address, so half of them are ever used."""
    cdef uint32_t rows = 256
    while rows < workers * c.flows:
        rows *= 2
    return rows

cdef inline uint64_t layout_next_hops(uint32_t workers, const Capacities *c) noexcept nogil:
    return aligned(layout_transfers(workers, c) + transfers_octets(workers))

cdef inline uint64_t layout_wanted(uint32_t workers, const Capacities *c) noexcept nogil:
    return layout_next_hops(workers, c) + layout_hop_rows(workers, c) * sizeof(NextHop)

cdef inline uint64_t layout_samples(uint32_t workers, const Capacities *c) noexcept nogil:
    return aligned(layout_wanted(workers, c) + <uint64_t>workers * WANTED * sizeof(Wanted))

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
    block.ices = aligned(block.marks + c.cryptos)
    block.routes = aligned(block.ices + <uint64_t>c.flows * sizeof(IceAgent))
    block.engine = aligned(block.routes + <uint64_t>c.calls * sizeof(Routes))
    return aligned(block.engine + engine_footprint(&sizes))
