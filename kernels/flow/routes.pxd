# Which stream of a port a packet belongs to (RFC 9143 section 9.2), and which port a stream leaves by.
#
#   routes_rtp      by MID, else by SSRC, else by payload type     of a packet that was opened and accepted
#   routes_rtcp     every stream whose SSRCs a compound packet speaks of
#   routes_sent     a packet leaves by the port
#   routes_name     ... and says which stream it is of, as long as the far end cannot know (RFC 9143 section 15)
#
# A route counts while both ends say so: the flow it names shares the port. So whoever has the slot of a stream that is
# gone gets nothing.
from libc.stdint cimport uint32_t

from kernels.control.records cimport FLOW_MEMBER
from kernels.flow.pipeline cimport Path
from kernels.flow.routes_table cimport Routes, RoutesParameters
from kernels.flow.table cimport Flow, flow_at
from kernels.wire.packet cimport NO_SLOT, Packet

# Flow of the packet's stream, or NO_SLOT. `packet` passed rtp_check.
cdef uint32_t routes_rtp(Path *path, const Packet *packet) noexcept nogil
# Bit i: route i. 0: it speaks of nobody we know. `packet` passed rtcp_check.
cdef uint32_t routes_rtcp(const Path *path, const Packet *packet) noexcept nogil
# Flow of a route, or NO_SLOT.
cdef uint32_t routes_flow(const Path *path, uint32_t carrier, uint32_t route) noexcept nogil
# An SSRC of the stream in `stream` leaves by `carrier`. True: the far end has not spoken of it yet.
cdef bint routes_sent(Path *path, uint32_t carrier, uint32_t stream, uint32_t ssrc) noexcept nogil
# Write the stream's MID into a packet that passed rtp_check, as an element of its header extension; it grows. Not
# where nobody agreed on that, where the extension is none of RFC 8285's, or where the frame has no room.
cdef void routes_name(const Path *path, uint32_t carrier, uint32_t stream, Packet *packet) noexcept nogil
# Create or update the table of a flow. 0 or a positive errno.
cdef int routes_install(Path *path, uint32_t flow, const RoutesParameters *want) noexcept nogil
# Another flow's table as this one's, slots of streams unknown yet. 0 or ENOSPC.
cdef int routes_import(Path *path, uint32_t flow, const Routes *moved) noexcept nogil
# A free slot of the pool for the flow, or the one it has; NO_SLOT.
cdef uint32_t routes_place(Path *path, uint32_t flow) noexcept nogil
cdef void routes_wipe(Path *path, uint32_t flow) noexcept nogil

cdef inline uint32_t carrier_of(const Path *path, uint32_t slot) noexcept nogil:
    """The flow whose port one in use leaves by: itself, or that a member shares; NO_SLOT: that is gone."""
    cdef const Flow *flow = &path.flows[slot]
    cdef uint32_t carrier
    if not flow.want.flags & FLOW_MEMBER:
        return slot
    carrier = path.sockets[flow.want.socket]
    return carrier if flow_at(path.flows, path.flow_count, carrier) != NULL else <uint32_t>NO_SLOT
