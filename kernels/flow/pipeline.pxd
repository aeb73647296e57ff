# The packet path between two port calls. Process-local; the tables it points to are in the arena.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.cipher.hmac cimport HmacKey
from kernels.control.layout cimport Transfer
from kernels.control.ring cimport Ring
from kernels.flow.handoff cimport Handoffs
from kernels.flow.ice_table cimport IceAgent
from kernels.flow.routes_table cimport Routes
from kernels.flow.samples cimport Samples
from kernels.flow.table cimport Flow
from kernels.port.port cimport Port
from kernels.srtp.engine cimport Engine
from kernels.wire.packet cimport BATCH, Packet

cdef enum:                      # CryptoMark: what the worker must know of a crypto beside the engine
    MARK_INSTALLED = 1
    MARK_RTP_AUTHENTIC = 2      # its RTP carries a tag: an address may be learnt from it
    MARK_RTCP_AUTHENTIC = 4

cdef enum:                      # Packet.marks between admit and settle
    MARK_PUNTED = 1
    MARK_HANDED = 2             # to the worker that serves its socket
    MARK_OPENED = 4             # dropped after its context opened it: its octets are no longer what came
    MARK_ANSWERED = 8           # a request, now the response: goes back where it came from
    MARK_REFUSED = 16           # that is an error response
    MARK_HELLO = 32             # no STUN response, but what a ClientHello is answered with
    MARK_GONE = 11              # punted, handed over or answered: no media

cdef enum:
    BUDGETS = 8                 # kernels/flow/punts.pxd

cdef struct PuntBudget:         # process-local, by flow: a new worker begins with full ones
    uint64_t due[BUDGETS]       # when the next one would be due if they came in an even pace

cdef struct Path:
    Engine *engine
    Flow *flows
    uint32_t flow_count
    uint32_t crypto_count
    uint32_t socket_count
    uint32_t punted             # since the reader was last told
    uint32_t secret             # random: nobody outside knows whose budget he shares
    HmacKey cookie_key          # of all workers
    uint32_t *sockets           # flow by socket number, or NO_SLOT
    uint8_t *marks              # MARK_*, by crypto
    uint64_t *counters
    Handoffs handoffs
    Transfer *transfers         # NULL: one worker
    Ring *punts
    Samples *samples            # of what failed
    IceAgent *ices              # by flow
    Routes *routes              # a pool
    uint32_t route_count
    uint32_t route_hint         # where to look for a free one
    PuntBudget *budgets         # by flow
    uint64_t window_ns          # learning window of plain legs
    uint64_t now
    # the batch in work
    uint32_t came_by[BATCH]     # flow it came in by, or NO_SLOT
    uint32_t leaves_by[BATCH]   # flow it leaves by, or NO_SLOT
    Packet *live[BATCH]         # what the port is to send
    uint32_t live_count
    # copies for subscribers, sent whenever there are as many as fit (copies.pxd)
    Port *port
    uint8_t *copy_frames        # BATCH of them
    Packet copies[BATCH]
    Packet *copied[BATCH]       # in order
    uint32_t copy_slots[BATCH]  # flow each leaves by
    uint32_t copy_count

cdef void pipeline_run(Path *path, Packet **batch, uint32_t count) noexcept nogil
cdef void pipeline_settle(Path *path, Packet **batch, uint32_t count) noexcept nogil
