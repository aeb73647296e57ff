# Whether a packet may leave by a flow, and what it looks like then: direction, keys, and what this leg negotiated
# otherwise than the one the packet comes from.
from libc.stdint cimport uint32_t

from kernels.clib.expect cimport rare
from kernels.control.records cimport (
    FLOW_EXTENSIONS, FLOW_ICE, FLOW_MAY_RECEIVE, FLOW_MEMBER, FLOW_NO_FEEDBACK, FLOW_OPAQUE, FLOW_ROUTES, FLOW_SECURE,
    FLOW_TYPES,
)
from kernels.flow.counters cimport COUNTER_TRANSCODED, count
from kernels.flow.ice cimport ice_consents, ice_tell_expiry
from kernels.flow.pipeline cimport Path
from kernels.flow.reports cimport RTCP_SR, reports_sent
from kernels.flow.reports_table cimport reports_ms
from kernels.flow.rewrite cimport feedback_cut, rewrite_rtp
from kernels.flow.routes cimport carrier_of, routes_name, routes_sent
from kernels.flow.table cimport Flow, flow_at
from kernels.wire.packet cimport (
    DROP_CONSENT, DROP_DIRECTION, DROP_FEEDBACK, DROP_NO_PARTNER, DROP_NONE, DROP_NOT_KEYED, KIND_RTP, NO_SLOT, Drop,
    Packet,
)
from kernels.wire.rtp cimport rtp_ssrc

cdef enum:
    EARLY_MS = 1000

cdef inline bint is_early(Flow *partner, const Packet *packet) noexcept nogil:
    """Receivers with feedback report whenever they have some (RFC 4585 section 3), dozens of times a second. A leg
    without it gets their reports at most once in EARLY_MS, beside those that came without feedback, and every sender
    report."""
    cdef uint32_t now = reports_ms(packet.received_ns)
    if packet.data[1] == RTCP_SR:
        return False
    if partner.early_ms and now - partner.early_ms < EARLY_MS:
        return True
    partner.early_ms = now
    return False

cdef inline Drop depart(Path *path, Packet *packet, uint32_t slot, uint32_t flags) noexcept nogil:
    """May it leave by the flow in `slot`, under which context, and saying what? `flags`: of the flow it came by."""
    cdef Flow *partner = flow_at(path.flows, path.flow_count, slot)
    cdef Flow *carrier = partner                        # whose port, address and keys they are
    cdef uint32_t by = slot
    cdef bint unknown = False
    cdef uint32_t whole
    packet.flow, packet.crypto = slot, NO_SLOT
    if partner == NULL:
        return DROP_NO_PARTNER
    if rare(partner.want.flags & FLOW_MEMBER):
        by = carrier_of(path, slot)
        if by == NO_SLOT:
            return DROP_NO_PARTNER
        carrier = &path.flows[by]
    if carrier.current.family == 0:
        return DROP_NO_PARTNER
    if packet.kind == KIND_RTP and not partner.want.flags & FLOW_MAY_RECEIVE:
        return DROP_DIRECTION
    if carrier.want.flags & FLOW_SECURE and carrier.want.send == NO_SLOT:
        return DROP_NOT_KEYED
    if rare(carrier.want.flags & FLOW_ICE and not ice_consents(path, by)):
        ice_tell_expiry(path, by)
        return DROP_CONSENT
    if packet.kind == KIND_RTP:
        if rare(carrier.want.flags & FLOW_ROUTES):
            unknown = routes_sent(path, by, slot, rtp_ssrc(packet.data))
        if rare(partner.want.flags & (FLOW_TYPES | FLOW_EXTENSIONS)):
            if rewrite_rtp(packet.data, packet.length, partner.want.flags, &partner.rewrite):
                count(path.counters, COUNTER_TRANSCODED, 1)
        if rare(unknown):
            routes_name(path, by, slot, packet)
    else:
        if rare((partner.want.flags | flags) & FLOW_NO_FEEDBACK):
            whole = packet.length
            packet.length = feedback_cut(packet.data, whole)
            if packet.length == 0 or (packet.length != whole and is_early(partner, packet)):
                return DROP_FEEDBACK
        if not flags & FLOW_OPAQUE:
            reports_sent(partner, packet.data, packet.length, packet.received_ns)
    packet.crypto = carrier.want.send
    return DROP_NONE
