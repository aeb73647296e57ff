# BUNDLE (RFC 9143): several streams of one leg on one port. The flow that has the port (its *carrier*) has a table of
# routes, each to a flow of one stream: itself, or a member, which has no port of its own. Of a pool in the arena.
from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    ROUTES = 16                 # streams of one port
    ROUTE_MID = 16              # octets of a MID (all that a short element holds: RFC 8285 section 4.2)
    ROUTE_SSRCS = 30            # remembered of each direction; the oldest gives way

cdef struct Route:              # as commanded
    uint32_t flow
    uint8_t mid[ROUTE_MID]
    uint8_t mid_octets          # 0: the stream has none
    uint8_t reserved[3]

cdef struct RoutesParameters:
    Route route[ROUTES]
    uint8_t count
    uint8_t mid_id              # of the header extension that carries it (RFC 9143 section 15), 0: none
    uint8_t reserved[2]
    uint8_t types[128]          # route + 1 by payload type; 0: of no stream, or of several

cdef struct RouteSsrc:
    uint32_t ssrc
    uint8_t route               # + 1; 0: empty
    uint8_t known               # of one that is sent: the far end has spoken of it
    uint8_t reserved[2]

cdef struct Routes:
    uint32_t owner              # flow + 1; 0: free
    uint8_t next_heard          # which gives way next
    uint8_t next_sent
    uint8_t reserved[2]
    RoutesParameters want
    RouteSsrc heard[ROUTE_SSRCS]    # whose packets arrive: said by MID or payload type of an accepted packet
    RouteSsrc sent[ROUTE_SSRCS]     # whose packets leave: reports and feedback speak of them
    uint8_t pad[20]
