# A few of the datagrams that failed, kept for "why is there no audio?" (appliance/diagnosis): one fixed store for each
# worker, in the arena. The worker writes, the control process copies under each sample's sequence number.
#
# Nothing here touches a packet that goes on. Of those that fail, a flow's first two for each reason are kept, then
# fewer and fewer, then one in SAMPLE_EVERY: a flood costs nothing (security-and-faults A8) and takes no other flow's
# place while there is one of its own. A flow's samples are wiped with it.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.wire.packet cimport (
    DROP_AUTH_FAIL, DROP_ENCRYPTION_FLAG, DROP_KEY_EXPIRED, DROP_MALFORMED, DROP_NOT_KEYED, DROP_PLAIN_ON_SECURE,
    DROP_REPLAY, DROP_REPLAY_OLD, DROP_SOURCE, DROP_SSRC_LIMIT, DROP_TOO_SHORT, DROP_UNKNOWN_KIND, DROP_UNKNOWN_MKI,
    Packet, Peer,
)

cdef enum:
    SAMPLES = 64                # of a worker
    SAMPLES_A_REASON = 2        # of one flow and drop: the newest two
    SAMPLES_A_FLOW = 8
    SAMPLE_OCTETS = 1552        # longer datagrams lose their end
    SAMPLE_HEADER = 32          # what is kept of datagrams that are nobody's ciphertext
    SAMPLE_EVERY = 256          # a power of two

cdef enum:                      # drops that a datagram on its way in can tell something about, as bits: all below 31
    SAMPLED = (1 << DROP_TOO_SHORT | 1 << DROP_MALFORMED | 1 << DROP_UNKNOWN_KIND | 1 << DROP_SOURCE
               | 1 << DROP_AUTH_FAIL | 1 << DROP_REPLAY | 1 << DROP_REPLAY_OLD | 1 << DROP_UNKNOWN_MKI
               | 1 << DROP_SSRC_LIMIT | 1 << DROP_KEY_EXPIRED | 1 << DROP_ENCRYPTION_FLAG | 1 << DROP_NOT_KEYED
               | 1 << DROP_PLAIN_ON_SECURE)
    # of them, those of packets that never verified: their octets are as they came. The others may be decrypted already.
    SAMPLED_AS_RECEIVED = (1 << DROP_TOO_SHORT | 1 << DROP_MALFORMED | 1 << DROP_UNKNOWN_KIND | 1 << DROP_SOURCE
                           | 1 << DROP_AUTH_FAIL | 1 << DROP_UNKNOWN_MKI | 1 << DROP_NOT_KEYED
                           | 1 << DROP_PLAIN_ON_SECURE)

cdef struct Sample:
    uint32_t sequence           # odd: being changed
    uint32_t owner              # flow slot + 1; 0: empty
    uint64_t received_ns        # CLOCK_MONOTONIC
    Peer source
    uint32_t length             # of the datagram
    uint16_t kept               # octets of it in `data`
    uint8_t drop                # Drop
    uint8_t kind                # Kind
    uint8_t reserved[4]
    uint8_t data[SAMPLE_OCTETS]

cdef struct Samples:
    uint64_t taken              # ever
    uint8_t reserved[56]
    uint64_t ages[SAMPLES]      # `taken` when this one was
    Sample rows[SAMPLES]

cdef inline bint sample_due(uint32_t drop, uint32_t number) noexcept nogil:
    """Whether the `number`-th packet that a flow drops for this reason (from 1) is kept."""
    return drop < 31 and (SAMPLED >> drop) & 1 and (number & (number - 1) == 0 or number % SAMPLE_EVERY == 0)

cdef inline bint sample_as_received(uint32_t drop) noexcept nogil:
    """Whether a packet that was dropped for this reason still has the octets it came with."""
    return drop < 31 and (SAMPLED_AS_RECEIVED >> drop) & 1

# Keep a copy of the first `octets` of a dropped packet.
cdef void sample_take(Samples *samples, const Packet *packet, uint32_t flow, uint32_t octets) noexcept nogil
# Wipe what is kept of a flow.
cdef void samples_forget(Samples *samples, uint32_t flow) noexcept nogil
# A worker takes over: nothing half-written stays.
cdef void samples_adopt(Samples *samples, bint fresh) noexcept nogil
