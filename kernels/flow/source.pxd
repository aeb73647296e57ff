# The source rule: whose packets a flow accepts, and when an address is learnt.
#
#   source_accepts   before anything else, reads only: is this sender worth the work?
#   source_learn     after the packet authenticated (plain legs: after it was accepted), the sole writer
#
# Plain legs learn once: the first acceptable source is taken, the signalled address may still take over
# while the learning window lasts, then the flow is strict (security-and-faults A1, A2). Secure legs follow
# every authenticated packet (F26) and nothing else.
from libc.stdint cimport uint64_t

from kernels.control.records cimport LATCH_AUTHENTICATED, LATCH_HOST, LATCH_OFF, LATCH_ONCE
from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.flow.table cimport LEARN_FIXED, LEARN_OPEN, LEARN_WINDOW, Flow, host_equal, peer_equal
from kernels.wire.packet cimport Peer

cdef inline bint source_accepts(const Flow *flow, const Peer *source, bint proves, uint64_t now) noexcept nogil:
    """May a packet from here go on? Reads only. `proves`: packets of this kind carry a tag that the flow's context
    verifies; where none does, nobody but the known source may speak."""
    if flow.want.latching == LATCH_AUTHENTICATED and proves:
        return True                                  # the tag decides
    if peer_equal(source, &flow.current):
        return True
    if flow.learning == LEARN_FIXED or flow.want.latching in (LATCH_OFF, LATCH_AUTHENTICATED):
        return False
    if flow.learning == LEARN_WINDOW:
        # taken by somebody: only the signalled address may still come
        return now < flow.window_end_ns and peer_equal(source, &flow.want.remote)
    return flow.want.latching == LATCH_ONCE or host_equal(source, &flow.want.remote)

cdef inline bint source_learn(Flow *flow, const Peer *source, bint proves,
                              uint64_t now, uint64_t window_ns) noexcept nogil:
    """Take note of an accepted packet's sender. True when the address we send to changed."""
    if flow.learning == LEARN_FIXED and peer_equal(source, &flow.current):
        return False                                 # the common case
    if flow.want.latching == LATCH_AUTHENTICATED:
        return proves and not peer_equal(source, &flow.current) and source_take(flow, source)
    if flow.want.latching not in (LATCH_HOST, LATCH_ONCE) or not source_accepts(flow, source, False, now):
        return False                                 # asked again: a batch may hold two strangers
    if peer_equal(source, &flow.want.remote):
        flow.learning = LEARN_FIXED
    elif flow.learning == LEARN_OPEN:
        flow.learning = LEARN_WINDOW
        flow.window_end_ns = now + window_ns
    elif now >= flow.window_end_ns:
        flow.learning = LEARN_FIXED
    return not peer_equal(source, &flow.current) and source_take(flow, source)

cdef inline bint source_take(Flow *flow, const Peer *source) noexcept nogil:
    sequence_begin(&flow.sequence)
    flow.current = source[0]
    flow.learnt = not peer_equal(source, &flow.want.remote)
    sequence_end(&flow.sequence)
    return True
