# A flow: one local UDP port in use, one component (RTP, RTCP or both) of one leg. Lives in the arena;
# the worker alone writes it, the control process takes snapshots under `sequence`.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from kernels.control.records cimport FlowParameters, FlowRewrite
from kernels.flow.reports_table cimport Reports
from kernels.wire.packet cimport NO_SLOT, Peer

cdef enum:                      # Flow.learning
    LEARN_OPEN = 0              # nothing heard since the address was set
    LEARN_WINDOW = 1            # heard something; the signalled address may still take over
    LEARN_FIXED = 2             # strict from now on

cdef enum:
    FLOW_DROPS = 38             # room for DROP_COUNT, checked at start

cdef struct Flow:
    uint32_t sequence           # odd: being changed
    uint8_t used
    uint8_t learning            # LEARN_*
    uint8_t learnt              # `current` differs from the signalled address
    uint8_t reserved
    FlowParameters want
    Peer current                # what we accept and where we send
    uint64_t window_end_ns      # of LEARN_WINDOW
    # counters: the worker's alone, each read by itself
    uint64_t packets_in         # accepted: passed source rule and authentication
    uint64_t octets_in
    uint64_t packets_out
    uint64_t octets_out
    uint64_t last_in_ns         # CLOCK_MONOTONIC of the last accepted packet
    # reception as in RFC 3550 appendix A.1 and A.3
    uint32_t ssrc_in
    uint16_t highest            # sequence number
    uint16_t heard              # bool: ssrc_in is valid
    uint32_t base               # extended sequence number of the first packet
    uint32_t cycles             # of the sequence number, shifted by 16
    uint32_t counted            # packets since `base`
    uint32_t ssrc_changes
    uint64_t lost_before        # of SSRCs that ended and of sections before a jump
    uint32_t drops[FLOW_DROPS]  # by Drop
    uint32_t routes             # + 1: its table in the pool (kernels/flow/routes_table.pxd), 0: none
    uint32_t early_ms           # when RTCP last left here that feedback was cut from (depart.pxd); 0: never
    Reports reports             # of the far end, on what it gets
    FlowRewrite rewrite         # where want.flags say so; last: most packets never look

cdef inline bint peer_equal(const Peer *a, const Peer *b) noexcept nogil:
    return a.port == b.port and host_equal(a, b)

cdef inline bint host_equal(const Peer *a, const Peer *b) noexcept nogil:
    """Same IP address. Unused octets are zero by convention."""
    return a.family == b.family and memcmp(a.ip, b.ip, 16) == 0

cdef inline Flow *flow_at(Flow *flows, uint32_t count, uint32_t slot) noexcept nogil:
    """The flow in use at a slot, else NULL (also for NO_SLOT)."""
    if slot >= count or not flows[slot].used:
        return NULL
    return &flows[slot]
