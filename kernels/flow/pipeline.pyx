# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The packet path.

    1. admit    socket -> flow, what kind, whose; what is not media goes up, what another worker serves goes there;
                checks of ICE become their own answers (ice.pxd)
    2. open     the flow's receiving context authenticates and decrypts        (engine)
    3. accept   well-formed? learn the address, which stream of a shared port (routes.pxd), count, find the partner;
                copies for subscribers (copies.pxd); what the partner negotiated otherwise is rewritten (rewrite.pxd)
    4. seal     the partner's sending context protects                         (engine)
    5. address  where the partner sends to
    -- the port sends --
    6. settle   every packet of the batch is counted, exactly once

Nothing before step 3 changes anything: only what authenticated (plain legs: what the source rule let
in) may move an address or a statistic.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from kernels.clib.expect cimport rare
from kernels.control.records cimport (
    FLOW_BLOCKED, FLOW_DTLS, FLOW_ICE, FLOW_MAY_SEND, FLOW_MEMBER, FLOW_OPAQUE, FLOW_ROUTES, FLOW_RTCP, FLOW_RTP,
    FLOW_SECURE, FLOW_TAP, FLOW_TAPPED,
)
from kernels.flow.copies cimport copies_make, copies_send, copy_to
from kernels.flow.counters cimport (
    COUNTER_COOKIES, COUNTER_COUNT, COUNTER_FORWARDED, COUNTER_FORWARDED_OCTETS, COUNTER_HANDED_OVER,
    COUNTER_ICE_ANSWERED, COUNTER_ICE_REFUSED, COUNTER_LEARNT, COUNTER_PUNTED, COUNTER_RECEIVED_OCTETS, count,
)
from kernels.flow.depart cimport depart
from kernels.flow.handoff cimport handoff_give
from kernels.flow.hello cimport hello_receive
from kernels.flow.ice cimport ice_admits, ice_find, ice_receive
from kernels.flow.ice_table cimport ICE_NONE
from kernels.flow.pipeline cimport (
    MARK_ANSWERED, MARK_GONE, MARK_HANDED, MARK_HELLO, MARK_OPENED, MARK_PUNTED, MARK_REFUSED, MARK_RTCP_AUTHENTIC,
    MARK_RTP_AUTHENTIC, Path,
)
from kernels.flow.punts cimport punt
from kernels.flow.reception cimport reception_count
from kernels.flow.reports cimport reports_heard
from kernels.flow.restart cimport restart_back
from kernels.flow.routes cimport carrier_of, routes_flow, routes_rtcp, routes_rtp
from kernels.flow.routes_table cimport ROUTES
from kernels.flow.samples cimport SAMPLE_HEADER, SAMPLE_OCTETS, sample_as_received, sample_due, sample_take
from kernels.flow.source cimport source_accepts, source_learn
from kernels.flow.table cimport Flow, flow_at, peer_equal
from kernels.srtp.engine cimport engine_open, engine_seal
from kernels.wire.octets cimport load_be16
from kernels.wire.packet cimport (
    DROP_BLOCKED, DROP_DIRECTION, DROP_NO_FLOW, DROP_NONE, DROP_NOT_KEYED, DROP_ROUTE, DROP_SOURCE, DROP_SUBSCRIBER,
    DROP_TOO_SHORT, DROP_UNKNOWN_KIND, KIND_DTLS, KIND_RTCP, KIND_RTP, KIND_STUN, KIND_ZRTP, MARK_UNPROVEN, NO_SLOT,
    Drop, Packet,
)
from kernels.wire.rtp cimport RTCP_FIXED, RTP_FIXED, classify, opaque_check, rtcp_check, rtp_check, rtp_ssrc


cdef void pipeline_run(Path *path, Packet **batch, uint32_t n) noexcept nogil:
    """Steps 1 to 5 on a batch; `path.live` is what the port is to send, with socket and address."""
    cdef uint32_t i
    cdef const Flow *flow
    for i in range(n):
        count(path.counters, COUNTER_RECEIVED_OCTETS, batch[i].length)
        path.leaves_by[i] = NO_SLOT
        admit(path, batch[i], i)
    engine_open(path.engine, batch, n)
    for i in range(n):
        if batch[i].drop == DROP_NONE and not batch[i].marks & MARK_GONE:
            batch[i].drop = accept(path, batch[i], i)
            if rare(batch[i].drop != DROP_NONE):
                batch[i].marks |= MARK_OPENED
    if rare(path.copy_count):
        copies_send(path)
    engine_seal(path.engine, batch, n)
    path.live_count = 0
    for i in range(n):
        if batch[i].drop == DROP_NONE and not batch[i].marks & MARK_GONE:
            flow = &path.flows[path.leaves_by[i]]
            if rare(flow.want.flags & FLOW_MEMBER):
                flow = &path.flows[carrier_of(path, path.leaves_by[i])]
            batch[i].peer = flow.current
            batch[i].peer.tos = flow.want.tos
            batch[i].flow = flow.want.socket
            path.live[path.live_count] = batch[i]
            path.live_count += 1
        elif rare(batch[i].drop == DROP_NONE and batch[i].marks & MARK_ANSWERED):
            batch[i].peer.tos = path.flows[batch[i].flow].want.tos
            batch[i].flow = path.flows[batch[i].flow].want.socket
            path.live[path.live_count] = batch[i]
            path.live_count += 1


cdef inline void admit(Path *path, Packet *packet, uint32_t i) noexcept nogil:
    """Step 1 for one packet."""
    cdef uint32_t slot = NO_SLOT
    cdef Flow *flow
    if packet.flow < path.socket_count:
        if path.handoffs.workers and path.handoffs.homes[packet.flow] != path.handoffs.me and packet.drop == DROP_NONE:
            hand_over(path, packet, i)
            return
        slot = path.sockets[packet.flow]
    flow = flow_at(path.flows, path.flow_count, slot)
    packet.flow = slot
    packet.crypto = NO_SLOT
    path.came_by[i] = slot if flow != NULL else NO_SLOT
    if packet.drop != DROP_NONE:
        return                                          # the port found it too long
    if flow == NULL:
        packet.drop = DROP_NO_FLOW
        return
    packet.kind = classify(packet.data, packet.length)
    packet.drop = screen(path, flow, packet)
    if packet.drop != DROP_NONE:
        return
    if packet.kind == KIND_RTP or packet.kind == KIND_RTCP:
        packet.crypto = flow.want.receive
    else:
        packet.drop = divert(path, flow, packet)


cdef inline void hand_over(Path *path, Packet *packet, uint32_t i) noexcept nogil:
    """To the worker that serves its socket, or is about to (perhaps this one). Any kind: that one judges."""
    packet.crypto = NO_SLOT
    path.came_by[i] = NO_SLOT
    packet.drop = handoff_give(&path.handoffs, packet)
    packet.marks = MARK_HANDED if packet.drop == DROP_NONE else 0


cdef inline Drop screen(const Path *path, const Flow *flow, const Packet *packet) noexcept nogil:
    """May this kind, from this source, enter this flow? Reads only."""
    cdef uint16_t flags = flow.want.flags
    if packet.length < 2:
        return DROP_TOO_SHORT
    if packet.kind == KIND_STUN or packet.kind == KIND_DTLS or packet.kind == KIND_ZRTP:
        return DROP_NONE                                # see divert
    if not ((packet.kind == KIND_RTP and flags & FLOW_RTP) or (packet.kind == KIND_RTCP and flags & FLOW_RTCP)):
        return DROP_UNKNOWN_KIND
    if rare(flags & FLOW_ICE):
        if not ice_admits(path, packet.flow, &packet.peer):
            return DROP_SOURCE
    elif not source_accepts(flow, &packet.peer, proves(path, flow, packet), path.now):
        return DROP_SOURCE
    if flags & FLOW_SECURE and flow.want.receive == NO_SLOT:
        return DROP_NOT_KEYED
    return DROP_NONE


cdef inline bint proves(const Path *path, const Flow *flow, const Packet *packet) noexcept nogil:
    """Whether a packet of this kind that passes the flow's context has proven who sent it."""
    cdef uint8_t proof = MARK_RTP_AUTHENTIC if packet.kind == KIND_RTP else MARK_RTCP_AUTHENTIC
    return flow.want.receive < path.crypto_count and path.marks[flow.want.receive] & proof != 0


cdef Drop divert(Path *path, const Flow *flow, Packet *packet) noexcept nogil:
    """STUN, DTLS or ZRTP: answered, or up to the control process. With ICE, only from validated sources (A3, A5)."""
    cdef bint known
    cdef Drop verdict
    if packet.kind == KIND_STUN and flow.want.flags & FLOW_ICE:
        return ice_receive(path, packet)
    if packet.kind == KIND_DTLS and not flow.want.flags & FLOW_DTLS:
        return DROP_UNKNOWN_KIND
    if flow.want.flags & FLOW_ICE:
        known = ice_find(&path.ices[packet.flow], &packet.peer) != ICE_NONE or peer_equal(&packet.peer, &flow.current)
        if not known:
            return DROP_SOURCE
    else:
        known = peer_equal(&packet.peer, &flow.current) or peer_equal(&packet.peer, &flow.want.remote)
        if packet.kind == KIND_DTLS:
            verdict = hello_receive(path, packet, known)
            if verdict != DROP_NONE or packet.marks & MARK_ANSWERED:
                return verdict
    verdict = punt(path, packet, known)
    if verdict == DROP_NONE:
        packet.marks |= MARK_PUNTED
    return verdict


cdef inline Drop accept(Path *path, Packet *packet, uint32_t i) noexcept nogil:
    """Step 3: an opened packet is checked, taken into account and given its partner."""
    cdef Flow *flow = &path.flows[packet.flow]
    cdef bint rtp = packet.kind == KIND_RTP
    cdef Drop verdict
    if rare(flow.want.flags & FLOW_OPAQUE):
        verdict = opaque_check(packet.data, packet.length, rtp)
    else:
        verdict = rtp_check(packet.data, packet.length) if rtp else rtcp_check(packet.data, packet.length)
    if verdict != DROP_NONE:
        return verdict
    if not heed(path, flow, packet):
        return DROP_SOURCE
    if rare(not rtp and flow.want.send != NO_SLOT and not flow.want.flags & FLOW_OPAQUE):
        restart_back(path.engine, flow.want.send, packet.data, packet.length)
    if rare(flow.want.flags & FLOW_ROUTES):
        flow = distribute(path, packet)
        if flow == NULL:
            return DROP_ROUTE
        path.came_by[i] = packet.flow
    tally(flow, packet)
    if rtp and not flow.want.flags & FLOW_MAY_SEND:
        return DROP_DIRECTION                           # after opening: ROC and address follow a held stream too
    if rare(flow.want.flags & (FLOW_BLOCKED | FLOW_TAPPED | FLOW_TAP)):
        if flow.want.flags & FLOW_TAP:
            return DROP_SUBSCRIBER
        if flow.want.flags & FLOW_BLOCKED:
            return DROP_BLOCKED                         # no copy either: it goes no further
        copies_make(path, flow, packet)
    verdict = depart(path, packet, flow.want.rtp_partner if rtp else flow.want.rtcp_partner, flow.want.flags)
    if verdict == DROP_NONE:
        path.leaves_by[i] = packet.flow
    return verdict


cdef Flow *distribute(Path *path, Packet *packet) noexcept nogil:
    """The stream's flow, now the packet's too; NULL: of no stream. RTCP that speaks of several goes to the first, and
    as copies to the partners of the others; what speaks of none is the carrier's own."""
    cdef uint32_t carrier = packet.flow, slot = NO_SLOT, found, route, other
    if packet.kind == KIND_RTP:
        slot = routes_rtp(path, packet)
    else:
        found = routes_rtcp(path, packet)
        if found == 0:
            slot = carrier
        for route in range(ROUTES):
            other = routes_flow(path, carrier, route) if found >> route & 1 else <uint32_t>NO_SLOT
            if other == NO_SLOT:
                continue
            if slot == NO_SLOT:
                slot = other
            elif not path.flows[other].want.flags & FLOW_BLOCKED:
                copy_to(path, packet, path.flows[other].want.rtcp_partner, path.flows[other].want.flags)
    if slot == NO_SLOT:
        return NULL
    packet.flow = slot
    return &path.flows[slot]


cdef inline bint heed(Path *path, Flow *flow, Packet *packet) noexcept nogil:
    """Learn the address. False when an earlier packet of the batch has just fixed another source."""
    cdef bint proven = proves(path, flow, packet)
    if not flow.want.flags & FLOW_ICE:                  # there checks alone move an address
        if not source_accepts(flow, &packet.peer, proven, path.now):
            return False
        if source_learn(flow, &packet.peer, proven, path.now, path.window_ns):
            count(path.counters, COUNTER_LEARNT, 1)
    if not proven:
        packet.marks |= MARK_UNPROVEN
    return True


cdef inline void tally(Flow *flow, const Packet *packet) noexcept nogil:
    flow.packets_in += 1
    flow.octets_in += packet.length
    flow.last_in_ns = packet.received_ns
    if packet.kind == KIND_RTP:
        reception_count(flow, rtp_ssrc(packet.data), load_be16(packet.data + 2))
    elif not flow.want.flags & FLOW_OPAQUE:
        reports_heard(flow, packet.data, packet.length, packet.received_ns)


cdef void pipeline_settle(Path *path, Packet **batch, uint32_t n) noexcept nogil:
    """Step 6: after the port sent. The only place where forwarded, punted and dropped are counted."""
    cdef uint32_t i, slot
    cdef Packet *packet
    cdef Flow *flow
    for i in range(n):
        packet = batch[i]
        if packet.drop != DROP_NONE:
            path.counters[<uint32_t>COUNTER_COUNT + packet.drop] += 1
            slot = path.leaves_by[i] if path.leaves_by[i] != NO_SLOT else path.came_by[i]
            if slot != NO_SLOT:
                path.flows[slot].drops[packet.drop] += 1
                if path.leaves_by[i] == NO_SLOT:
                    keep(path, packet, slot)
        elif packet.marks & MARK_HANDED:
            count(path.counters, COUNTER_HANDED_OVER, 1)
        elif packet.marks & MARK_PUNTED:
            count(path.counters, COUNTER_PUNTED, 1)
        elif packet.marks & MARK_HELLO:
            count(path.counters, COUNTER_COOKIES, 1)
        elif packet.marks & MARK_ANSWERED:
            count(path.counters, COUNTER_ICE_REFUSED if packet.marks & MARK_REFUSED else COUNTER_ICE_ANSWERED, 1)
        else:
            flow = &path.flows[path.leaves_by[i]]
            flow.packets_out += 1
            flow.octets_out += packet.length
            count(path.counters, COUNTER_FORWARDED, 1)
            count(path.counters, COUNTER_FORWARDED_OCTETS, packet.length)


cdef void keep(Path *path, const Packet *packet, uint32_t slot) noexcept nogil:
    """A sample of what failed. Whole only where it should be ciphertext; else the conversation stays out."""
    cdef uint32_t octets = SAMPLE_HEADER
    if not sample_due(packet.drop, path.flows[slot].drops[packet.drop]):
        return
    if packet.marks & MARK_OPENED or not sample_as_received(packet.drop):
        octets = RTP_FIXED if packet.kind == KIND_RTP else RTCP_FIXED
    elif path.flows[slot].want.flags & FLOW_SECURE:
        octets = SAMPLE_OCTETS
    sample_take(path.samples, packet, slot, octets)
