# The names of everything a worker counts, once for both worlds. Drops follow by their Drop number:
# counters[COUNTER_COUNT + drop].
#
#   received == forwarded + punted + handed_over + ice_answered + ice_refused + cookies + sum of drops + interrupted
#                                                                                           (checked by the tests)
#
# What another worker handed over counts as received here and in taken_over, so over all workers the datagrams that came
# from outside are received - taken_over.
from libc.stdint cimport uint32_t, uint64_t

cpdef enum Counter:
    COUNTER_RECEIVED = 0        # datagrams taken from sockets
    COUNTER_RECEIVED_OCTETS = 1
    COUNTER_FORWARDED = 2       # handed to the kernel for sending, media only
    COUNTER_FORWARDED_OCTETS = 3
    COUNTER_PUNTED = 4          # handed up: STUN, ZRTP, DTLS
    COUNTER_INJECTED = 5        # sent for the control process
    COUNTER_INJECT_FAILED = 6
    COUNTER_LEARNT = 7          # addresses learnt
    COUNTER_COMMANDS = 8
    COUNTER_COMMANDS_REFUSED = 9
    COUNTER_TURNS = 10          # turns of the loop
    COUNTER_OVERFLOWS = 11      # datagrams that the kernel dropped: a socket's buffer was full
    COUNTER_INTERRUPTED = 12    # in flight when a worker died
    COUNTER_BUSY_NS = 13        # CPU time of this and all earlier workers of this place
    COUNTER_HANDED_OVER = 14    # arrived here, given to the worker that serves their socket
    COUNTER_TAKEN_OVER = 15     # of those received: given to us by other workers
    COUNTER_WORK_NS = 16        # spent in turns that had packets, from their receipt on
    COUNTER_RING_RECEIVED = 17  # frames taken from AF_XDP rings
    COUNTER_RING_SENT = 18      # datagrams sent through AF_XDP rings; the other forwarded ones by kernel sockets
    COUNTER_RING_LOST = 19      # frames the kernel dropped: a receive or fill ring had no room
    COUNTER_RING_FULL = 20      # of those dropped as `send`: transmit ring full, or no free frame
    COUNTER_COPIED = 21         # copies handed to the kernel for subscribers; none of these two counts as forwarded
    COUNTER_COPY_DROPPED = 22   # copies that went no further; the subscriber's flow says why
    COUNTER_ICE_ANSWERED = 23   # connectivity and consent checks answered with success
    COUNTER_ICE_REFUSED = 24    # answered with an error
    COUNTER_TRANSCODED = 25     # G.711 payloads turned into the other law
    COUNTER_COOKIES = 26        # ClientHellos answered with a cookie
    COUNTER_COUNT = 27

cdef enum:
    COUNTERS = 72               # room for COUNTER_COUNT + DROP_COUNT, checked at start

cdef inline void count(uint64_t *counters, Counter name, uint64_t amount) noexcept nogil:
    counters[<uint32_t>name] += amount

cdef inline uint64_t counted(const uint64_t *counters, Counter name) noexcept nogil:
    return counters[<uint32_t>name]
