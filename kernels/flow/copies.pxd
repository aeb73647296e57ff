# Copies for subscribers (taps): what a flow accepts also goes to other flows, each with a socket, an address and a
# context of its own. A copy has a frame of its own and is sent by itself: nothing that becomes of it touches the call.
#
# A flow's taps are a chain: want.rtp_tap of the flow is the first, want.rtp_tap of each the next (rtcp_tap the same for
# RTCP). Every link is checked from its other end too: a tap names as its partner whom it follows. So whoever has the
# slot of a tap that is gone gets nothing.
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.control.records cimport FLOW_TAP
from kernels.flow.counters cimport COUNTER_COPIED, COUNTER_COPY_DROPPED, count
from kernels.flow.depart cimport depart
from kernels.flow.pipeline cimport Path
from kernels.flow.table cimport Flow, flow_at
from kernels.srtp.engine cimport engine_seal
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_NONE, DROP_TOO_LONG, FRAME, HEADROOM, KIND_RTP, Packet

cdef enum:
    MOST_TAPS = 8               # subscribers of one flow; the control process gives it no more

cdef inline void copies_send(Path *path) noexcept nogil:
    """Seal, address, send and count those that were made since it was last called."""
    cdef uint32_t n = path.copy_count, i
    cdef Packet *copy
    cdef Flow *tap
    path.copy_count = 0
    engine_seal(path.engine, path.copied, n)
    for i in range(n):
        tap = &path.flows[path.copy_slots[i]]
        path.copied[i].peer = tap.current
        path.copied[i].peer.tos = tap.want.tos
        path.copied[i].flow = tap.want.socket
    path.port.transmit(path.port, path.copied, n)
    for i in range(n):
        copy, tap = path.copied[i], &path.flows[path.copy_slots[i]]
        if copy.drop != DROP_NONE:
            tap.drops[copy.drop] += 1
            count(path.counters, COUNTER_COPY_DROPPED, 1)
        else:
            tap.packets_out += 1
            tap.octets_out += copy.length
            count(path.counters, COUNTER_COPIED, 1)

cdef inline void copy_to(Path *path, const Packet *packet, uint32_t slot, uint32_t flags) noexcept nogil:
    cdef Packet *copy
    if path.copy_count == BATCH:
        copies_send(path)
    copy = &path.copies[path.copy_count]
    copy[0] = packet[0]
    copy.data = path.copy_frames + <uint64_t>path.copy_count * FRAME + HEADROOM
    copy.capacity = FRAME - HEADROOM
    path.copied[path.copy_count] = copy
    path.copy_slots[path.copy_count] = slot
    path.copy_count += 1
    if packet.length > DATAGRAM:
        copy.drop = DROP_TOO_LONG
        return
    memcpy(copy.data, packet.data, packet.length)
    copy.drop = depart(path, copy, slot, flags)

cdef inline void copies_make(Path *path, const Flow *flow, const Packet *packet) noexcept nogil:
    """One for each tap of `flow`, out of an accepted packet that nobody has changed yet."""
    cdef bint rtp = packet.kind == KIND_RTP
    cdef uint32_t before = packet.flow
    cdef uint32_t slot = flow.want.rtp_tap if rtp else flow.want.rtcp_tap
    cdef uint32_t _taps
    cdef const Flow *tap
    for _taps in range(MOST_TAPS):
        tap = flow_at(path.flows, path.flow_count, slot)
        if tap == NULL or not tap.want.flags & FLOW_TAP:
            return
        if (tap.want.rtp_partner if rtp else tap.want.rtcp_partner) != before:
            return
        copy_to(path, packet, slot, flow.want.flags)
        before, slot = slot, tap.want.rtp_tap if rtp else tap.want.rtcp_tap
