from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kernels.control.layout cimport WorkerBlock
from kernels.control.ring cimport Ring
from kernels.flow.pipeline cimport Path
from kernels.port.port cimport Port
from kernels.srtp.engine cimport Engine
from kernels.wire.packet cimport BATCH, Packet

cdef enum:
    ORDERS_A_TURN = 8           # commands, and as many injected datagrams
    IDLE_MS = 100               # longest sleep: the heartbeat's pace
    SETTLE_MS = 10              # sleep while published counters are behind
    PUBLISH_NS = 10000000

cdef struct Loop:               # process-local state of a worker
    Port *port
    Engine engine
    Path path
    WorkerBlock *block
    Ring *commands
    Ring *replies
    Ring *injects
    int news                    # eventfd towards the control process
    int wait_ms
    bint told                   # something was put into a ring that the control process reads
    bint behind                 # counters changed since they were published
    uint64_t published_ns
    uint64_t busy_base_ns       # CPU time of earlier workers of this place
    uint64_t overflow_base
    Packet *batch[BATCH]
    uint8_t *served             # the homes as the port was last told
    uint32_t home_changes       # as of then
