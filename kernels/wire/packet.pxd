# The unit of work of the packet path: one datagram in a frame that its port owns.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NO_SLOT = 0xFFFFFFFF        # "no flow", "no context", "no partner"
    BATCH = 64                  # most packets of one burst
    FRAME = 2240                # octets of one frame; not a power of two, which would alias cache sets
    HEADROOM = 64               # octets before the datagram that a port or a cipher may use
    TAILROOM = 176              # octets after it kept for tag, MKI (up to 128) and SRTCP index
    DATAGRAM = 2000             # longest datagram a frame carries (FRAME - HEADROOM - TAILROOM)

cpdef enum Kind:
    """What the first octet says (RFC 7983 section 7), and RTP apart from RTCP (RFC 5761 section 4)."""
    KIND_UNKNOWN = 0
    KIND_RTP = 1
    KIND_RTCP = 2
    KIND_STUN = 3
    KIND_ZRTP = 4
    KIND_DTLS = 5
    KIND_TURN = 6

cpdef enum Drop:
    """Why a packet went no further; 0 is no reason. The one list of drop names: counters, metrics
    and events iterate over it. New names go to the end (the numbers are in the arena)."""
    DROP_NONE = 0
    DROP_TOO_SHORT = 1          # header, MKI, tag or SRTCP index do not fit
    DROP_MALFORMED = 2          # version, CSRC count, extension or padding lie about the length
    DROP_UNKNOWN_KIND = 3       # first octet in no range of RFC 7983
    DROP_NO_FLOW = 4            # local port carries no call
    DROP_NO_PARTNER = 5         # nobody to send to (held, or other leg not there yet)
    DROP_SOURCE = 6             # plain leg: not the address we expect (RTP injection)
    DROP_AUTH_FAIL = 7          # tag did not verify
    DROP_REPLAY = 8             # index accepted before
    DROP_REPLAY_OLD = 9         # index older than the window
    DROP_UNKNOWN_MKI = 10
    DROP_SSRC_LIMIT = 11        # authenticated, but no room for one more SSRC on this context
    DROP_KEY_EXPIRED = 12       # lifetime of the master key is used up (RFC 3711 section 9.2)
    DROP_ENCRYPTION_FLAG = 13   # SRTCP E bit is not the negotiated one (RFC 3711 section 3.4)
    DROP_TX_REPLAY = 14         # index was already used for sending (two-time pad, RFC 3711 section 9.1)
    DROP_NOT_KEYED = 15         # secure leg whose keys are not installed yet
    DROP_DIRECTION = 16         # stream is held in this direction
    DROP_TOO_LONG = 17          # result does not fit a frame
    DROP_SEND = 18              # kernel refused to send, or a transmit ring was full
    DROP_PUNT_FULL = 19         # punt ring had no room
    DROP_PLAIN_ON_SECURE = 20   # unprotected RTCP on a secure leg
    DROP_CIPHER = 21            # cipher back end failed
    DROP_HANDOFF_FULL = 22      # arrived at another worker than its flow's, and the ring towards that one had no room
    DROP_HANDOFF_LATE = 23      # waited too long for a flow that is being moved
    DROP_FRAME = 24             # frame in a ring that is no plain UDP, or whose lengths lie
    DROP_CHECKSUM = 25          # IPv4 header or UDP checksum is wrong
    DROP_BLOCKED = 26           # what this leg sends is blocked by command
    DROP_FEEDBACK = 27          # RTCP that is all feedback, from or to a leg without AVPF
    DROP_SUBSCRIBER = 28        # sent by a subscriber, who is sent copies and has no say
    DROP_PROBATION = 29         # plain leg: first packet after a jump of sequence numbers (RFC 3550 appendix A.1)
    DROP_CONSENT = 30           # ICE leg whose far end has not been heard for 30 s (RFC 7675): nothing is sent
    DROP_STUN = 31              # ICE leg: a message that is refused without an answer; its ICE status says why
    DROP_PUNT_RATE = 32         # more of a flow's datagrams that are not media than the control process is given
    DROP_ROUTE = 33             # port of several streams: of none of them
    DROP_COOKIE = 34            # second ClientHello of an unvalidated source, without a cookie that we gave it just now
    DROP_COUNT = 35

cdef enum:
    DROP_CRYPTO_COUNT = 22      # the drops below it are the ones that a crypto can be to blame for

cdef struct Peer:               # a socket address in the packet path, both families, host order port
    uint8_t ip[16]              # IPv4 in the first four octets
    uint16_t port
    uint8_t family              # 0 none, 4, 6
    uint8_t tos                 # of a destination: IPv4 TOS or IPv6 traffic class octet; nobody compares it

cdef enum:
    MARK_UNPROVEN = 128         # in Packet.marks: nothing but its source address says who sent it

cdef struct Packet:
    uint8_t *data               # first octet of the datagram; HEADROOM before it belongs to the frame
    uint32_t length             # octets of the datagram now
    uint32_t capacity           # octets that may be used from data on
    uint32_t flow               # slot of the flow it came in by, later of the flow it leaves by
    uint32_t crypto             # slot of the context to apply next, or NO_SLOT for none
    uint16_t drop               # Drop
    uint8_t kind                # Kind
    uint8_t marks               # the pipeline's; MARK_UNPROVEN is for the engine too
    Peer peer                   # where it came from, later where it goes
    uint64_t received_ns        # CLOCK_MONOTONIC at receipt
