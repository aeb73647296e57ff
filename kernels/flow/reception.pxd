# What arrived and what is missing, from sequence numbers (RFC 3550 appendices A.1 and A.3).
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from kernels.flow.table cimport Flow

cdef enum:
    MAX_DROPOUT = 3000          # a larger jump is a restart of the sender, not loss

cdef inline uint64_t reception_lost(const Flow *flow) noexcept nogil:
    """Packets expected and not seen; 0 when duplicates outweigh losses."""
    cdef int64_t lost = <int64_t>flow.cycles + flow.highest - flow.base + 1 - flow.counted
    if not flow.heard or lost < 0:
        return flow.lost_before
    return flow.lost_before + <uint64_t>lost

cdef inline void reception_restart(Flow *flow, uint32_t ssrc, uint16_t number) noexcept nogil:
    flow.lost_before = reception_lost(flow)
    flow.heard = 1
    flow.ssrc_in = ssrc
    flow.highest = number
    flow.base = number
    flow.cycles = 0
    flow.counted = 1

cdef inline void reception_count(Flow *flow, uint32_t ssrc, uint16_t number) noexcept nogil:
    """Take an accepted RTP packet into account."""
    cdef uint16_t ahead = <uint16_t>(number - flow.highest)
    if not flow.heard or ssrc != flow.ssrc_in:
        flow.ssrc_changes += flow.heard
        reception_restart(flow, ssrc, number)
        return
    if ahead < MAX_DROPOUT:
        if number < flow.highest:
            flow.cycles += 0x10000
        flow.highest = number
    elif ahead < 0x10000 - MAX_DROPOUT:
        reception_restart(flow, ssrc, number)
        return
    flow.counted += 1                   # in order, late or twice: A.3 counts them all
