# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Streams that share a port; see routes.pxd."""
from libc.errno cimport EINVAL, ENOENT, ENOSPC
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memmove, memset

from kernels.control.records cimport FLOW_MEMBER, FLOW_OPAQUE, FLOW_ROUTES
from kernels.flow.rewrite cimport LONGEST_ONE_BYTE_ID, ONE_BYTE, TWO_BYTE
from kernels.flow.routes_table cimport ROUTE_MID, ROUTE_SSRCS, ROUTES, RouteSsrc
from kernels.wire.octets cimport load_be16, load_be32, store_be16
from kernels.wire.packet cimport TAILROOM
from kernels.wire.rtp cimport RTP_FIXED, rtp_ssrc

cdef enum:
    NO_ROUTE = 255
    RTCP_SENDER_REPORT = 200
    RTCP_RECEIVER_REPORT = 201
    RTCP_FEEDBACK = 205         # RTPFB, then PSFB (RFC 4585 section 6.1)
    RTCP_PAYLOAD_FEEDBACK = 206
    FIR = 4                     # PSFB whose SSRCs are in its items (RFC 5104 section 4.3.1)
    TMMBR = 3                   # RTPFB of that kind (section 4.2.1)
    AFB = 15                    # PSFB of applications: "REMB" (draft-alvestrand-rmcat-remb)
    REMB = 0x52454D42
    REPORT_BLOCK = 24


cdef uint32_t routes_rtp(Path *path, const Packet *packet) noexcept nogil:
    cdef Routes *routes = table(path, packet.flow)
    cdef uint32_t ssrc = rtp_ssrc(packet.data), route
    cdef uint8_t octets = 0
    cdef const uint8_t *mid = NULL
    if routes == NULL:
        return packet.flow
    if routes.want.mid_id:
        mid = extension(packet.data, routes.want.mid_id, &octets)
    if mid != NULL:
        route = route_of_mid(routes, mid, octets)
        if route == NO_ROUTE:
            return NO_SLOT                              # of no stream that was agreed on
    else:
        route = route_of_ssrc(routes.heard, ssrc)
    if route == NO_ROUTE:
        route = route_of_type(routes, packet.data[1] & 0x7F)
    if route == NO_ROUTE:
        return NO_SLOT
    remember(routes.heard, &routes.next_heard, ssrc, route)
    return routes_flow(path, packet.flow, route)


cdef uint32_t routes_rtcp(const Path *path, const Packet *packet) noexcept nogil:
    cdef Routes *routes = table(path, packet.flow)
    cdef uint32_t at = 0, octets, found = 0
    if routes == NULL:
        return 0
    if path.flows[packet.flow].want.flags & FLOW_OPAQUE:
        return part(routes, packet.data, 8)             # encrypted behind its sender
    while at < packet.length:                           # rtcp_check: parts fill it exactly
        octets = 4 * (<uint32_t>load_be16(packet.data + at + 2) + 1)
        found |= part(routes, packet.data + at, octets)
        at += octets
    return found


cdef uint32_t part(Routes *routes, const uint8_t *data, uint32_t octets) noexcept nogil:
    """Routes that one packet of a compound speaks of: its sender, whom it reports on, whom it asks for something."""
    cdef uint32_t found, at, step = 0
    cdef uint8_t kind = data[1], form = data[0] & 31
    if octets < 8:
        return 0
    found = bit(route_of_ssrc(routes.heard, load_be32(data + 4)))
    at = octets
    if kind == RTCP_SENDER_REPORT or kind == RTCP_RECEIVER_REPORT:
        at, step = 28 if kind == RTCP_SENDER_REPORT else 8, REPORT_BLOCK
    elif kind == RTCP_FEEDBACK or kind == RTCP_PAYLOAD_FEEDBACK:
        if octets >= 12:
            found |= bit(route_of_known(routes.sent, load_be32(data + 8)))
        if form == (FIR if kind == RTCP_PAYLOAD_FEEDBACK else TMMBR):
            at, step = 12, 8
        elif kind == RTCP_PAYLOAD_FEEDBACK and form == AFB and octets >= 20 and load_be32(data + 12) == REMB:
            at, step = 20, 4
    while step and at + step <= octets and (step != REPORT_BLOCK or form):
        found |= bit(route_of_known(routes.sent, load_be32(data + at)))
        at += step
        form -= step == REPORT_BLOCK
    return found


cdef inline uint32_t bit(uint32_t route) noexcept nogil:
    return 0 if route == NO_ROUTE else <uint32_t>1 << route


cdef uint32_t routes_flow(const Path *path, uint32_t carrier, uint32_t route) noexcept nogil:
    cdef const Routes *routes = table(path, carrier)
    cdef const Flow *stream
    if routes == NULL or route >= routes.want.count:
        return NO_SLOT
    if routes.want.route[route].flow == carrier:
        return carrier
    stream = flow_at(path.flows, path.flow_count, routes.want.route[route].flow)
    if (stream == NULL or not stream.want.flags & FLOW_MEMBER
            or stream.want.socket != path.flows[carrier].want.socket):
        return NO_SLOT
    return routes.want.route[route].flow


cdef bint routes_sent(Path *path, uint32_t carrier, uint32_t stream, uint32_t ssrc) noexcept nogil:
    cdef Routes *routes = table(path, carrier)
    cdef uint32_t route
    if routes != NULL:
        for route in range(routes.want.count):
            if routes.want.route[route].flow == stream:
                return not remember(routes.sent, &routes.next_sent, ssrc, route)
    return False


cdef void routes_name(const Path *path, uint32_t carrier, uint32_t stream, Packet *packet) noexcept nogil:
    cdef const Routes *routes = table(path, carrier)
    cdef uint8_t *data = packet.data
    cdef uint32_t at = RTP_FIXED + 4 * <uint32_t>(data[0] & 0x0F), route, octets = 0, head, grown
    cdef bint extended = data[0] & 0x10 != 0
    if routes == NULL or routes.want.mid_id == 0:
        return
    for route in range(routes.want.count):
        if routes.want.route[route].flow == stream:
            octets = routes.want.route[route].mid_octets
            break
    if octets == 0:
        return
    if extended:
        head = form_of(load_be16(data + at))
    else:
        head = 1 if routes.want.mid_id <= LONGEST_ONE_BYTE_ID else 2
    if head == 0 or (head == 1 and routes.want.mid_id > LONGEST_ONE_BYTE_ID):
        return
    grown = (head + octets + 3) & ~<uint32_t>3
    if packet.length + 4 + grown + TAILROOM > packet.capacity:
        return
    if extended:
        store_be16(data + at + 2, <uint16_t>(load_be16(data + at + 2) + grown // 4))
        at += 4
        memmove(data + at + grown, data + at, packet.length - at)
    else:
        memmove(data + at + 4 + grown, data + at, packet.length - at)
        store_be16(data + at, ONE_BYTE if head == 1 else TWO_BYTE << 4)
        store_be16(data + at + 2, <uint16_t>(grown // 4))
        data[0] |= 0x10
        at += 4
        packet.length += 4
    packet.length += grown
    memset(data + at, 0, grown)
    if head == 1:
        data[at] = <uint8_t>(routes.want.mid_id << 4 | (octets - 1))
    else:
        data[at], data[at + 1] = routes.want.mid_id, <uint8_t>octets
    memcpy(data + at + head, routes.want.route[route].mid, octets)


cdef inline uint32_t form_of(uint16_t profile) noexcept nogil:
    """Octets before the value of an element (RFC 8285 sections 4.2, 4.3); 0: a block of another kind."""
    if profile == ONE_BYTE:
        return 1
    return 2 if profile >> 4 == TWO_BYTE else 0


# -- helpers -----------------------------------------------------------------------------------------------------

cdef inline Routes *table(const Path *path, uint32_t flow) noexcept nogil:
    """Of a flow in use; NULL: it has none."""
    cdef uint32_t place = path.flows[flow].routes
    if place == 0 or place > path.route_count or path.routes[place - 1].owner != flow + 1:
        return NULL
    return &path.routes[place - 1]


cdef uint32_t route_of_ssrc(const RouteSsrc *known, uint32_t ssrc) noexcept nogil:
    cdef uint32_t i
    for i in range(ROUTE_SSRCS):
        if known[i].ssrc == ssrc and known[i].route:
            return <uint32_t>known[i].route - 1
    return NO_ROUTE


cdef uint32_t route_of_known(RouteSsrc *known, uint32_t ssrc) noexcept nogil:
    """The same of one that the far end speaks of."""
    cdef uint32_t i
    for i in range(ROUTE_SSRCS):
        if known[i].ssrc == ssrc and known[i].route:
            known[i].known = 1
            return <uint32_t>known[i].route - 1
    return NO_ROUTE


cdef inline uint32_t route_of_type(const Routes *routes, uint8_t kind) noexcept nogil:
    return <uint32_t>routes.want.types[kind] - 1 if routes.want.types[kind] else <uint32_t>NO_ROUTE


cdef bint remember(RouteSsrc *known, uint8_t *next_one, uint32_t ssrc, uint32_t route) noexcept nogil:
    """An SSRC that is said to be of another stream now moves there. The route last: who dies in here leaves a hole.
    True: the far end knows it as this stream's."""
    cdef uint32_t i
    for i in range(ROUTE_SSRCS):
        if known[i].ssrc == ssrc and known[i].route:
            if known[i].route != route + 1:
                known[i].known = 0
                known[i].route = <uint8_t>(route + 1)
            return known[i].known != 0
    i = next_one[0] % ROUTE_SSRCS
    next_one[0] = <uint8_t>((i + 1) % ROUTE_SSRCS)
    known[i].route = 0
    known[i].ssrc = ssrc
    known[i].known = 0
    known[i].route = <uint8_t>(route + 1)
    return False


cdef uint32_t route_of_mid(const Routes *routes, const uint8_t *mid, uint8_t octets) noexcept nogil:
    cdef uint32_t i
    for i in range(routes.want.count):
        if (octets and octets == routes.want.route[i].mid_octets
                and memcmp(mid, routes.want.route[i].mid, octets) == 0):
            return i
    return NO_ROUTE


cdef const uint8_t *extension(const uint8_t *data, uint8_t wanted, uint8_t *octets) noexcept nogil:
    """A header extension element by id (RFC 8285 sections 4.2, 4.3), NULL: not there. rtp_check: the block fits."""
    cdef const uint8_t *block = data + RTP_FIXED + 4 * <uint32_t>(data[0] & 0x0F)
    cdef uint32_t end, at = 0, head, size
    cdef bint short_form
    if not data[0] & 0x10:
        return NULL
    head = form_of(load_be16(block))
    if head == 0:
        return NULL
    short_form = head == 1
    end = 4 * <uint32_t>load_be16(block + 2)
    block += 4
    while at + head <= end:
        if block[at] == 0:                              # padding
            at += 1
            continue
        size = 1 + <uint32_t>(block[at] & 0x0F) if short_form else <uint32_t>block[at + 1]
        if size > end - at - head or (short_form and block[at] >> 4 == 15):
            return NULL
        if (block[at] >> 4 if short_form else block[at]) == wanted:
            octets[0] = <uint8_t>size
            return block + at + head
        at += head + size
    return NULL


# -- commands ----------------------------------------------------------------------------------------------------

cdef int routes_install(Path *path, uint32_t flow, const RoutesParameters *want) noexcept nogil:
    """SSRCs that were learnt stay with their streams. No routes at all: the table is given back."""
    cdef uint32_t place, i
    if flow_at(path.flows, path.flow_count, flow) == NULL or path.flows[flow].want.flags & FLOW_MEMBER:
        return ENOENT
    if want.count > ROUTES:
        return EINVAL
    for i in range(want.count):
        if want.route[i].mid_octets > ROUTE_MID:
            return EINVAL
    for i in range(128):
        if want.types[i] > want.count:
            return EINVAL
    if want.count == 0:
        routes_wipe(path, flow)
        return 0
    place = routes_place(path, flow)
    if place == NO_SLOT:
        return ENOSPC
    if path.routes[place].owner == flow + 1:
        follow(&path.routes[place], path.routes[place].heard, want)
        follow(&path.routes[place], path.routes[place].sent, want)
    path.routes[place].want = want[0]
    own(path, flow, place)
    return 0


cdef void follow(const Routes *routes, RouteSsrc *known, const RoutesParameters *want) noexcept nogil:
    """To the places that their streams' flows have now; those of streams that are gone are forgotten. Slots that are
    not known since a move keep their places: they are told of in the same order. The far end is told of MID again: it
    may have begun anew."""
    cdef uint32_t i, route, now
    for i in range(ROUTE_SSRCS):
        if known[i].route == 0:
            continue
        known[i].known = 0
        route = <uint32_t>known[i].route - 1
        now = route
        if route < routes.want.count and routes.want.route[route].flow != NO_SLOT:
            now = 0
            while now < want.count and want.route[now].flow != routes.want.route[route].flow:
                now += 1
        known[i].route = <uint8_t>(now + 1) if now < want.count else 0


cdef int routes_import(Path *path, uint32_t flow, const Routes *moved) noexcept nogil:
    cdef uint32_t place = routes_place(path, flow), i
    if place == NO_SLOT:
        return ENOSPC
    path.routes[place] = moved[0]
    for i in range(ROUTES):
        path.routes[place].want.route[i].flow = NO_SLOT
    own(path, flow, place)
    return 0


cdef inline void own(Path *path, uint32_t flow, uint32_t place) noexcept nogil:
    """Both ends name each other; a flow that names a free place was cut off here, and takes it again."""
    path.flows[flow].routes = place + 1
    path.routes[place].owner = flow + 1
    path.flows[flow].want.flags |= FLOW_ROUTES


cdef uint32_t routes_place(Path *path, uint32_t flow) noexcept nogil:
    cdef uint32_t place = path.flows[flow].routes, _looked
    if 0 < place <= path.route_count and path.routes[place - 1].owner in (0, flow + 1):
        return place - 1
    for _looked in range(path.route_count):
        place = path.route_hint % path.route_count
        if path.routes[place].owner == 0:
            return place
        path.route_hint = place + 1
    return NO_SLOT


cdef void routes_wipe(Path *path, uint32_t flow) noexcept nogil:
    cdef Routes *routes = table(path, flow)
    if routes != NULL:
        memset(routes, 0, sizeof(Routes))
    path.flows[flow].routes = 0
    path.flows[flow].want.flags &= ~FLOW_ROUTES
