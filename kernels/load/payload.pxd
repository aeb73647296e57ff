# What is inside every payload, so that the receiver needs to know nothing but the pattern key:
#   0 stream u32 | 4 payload length u32 | 8 number u64 | 16 sent ns u64 | 24 RTP header as sent, 12 octets | 36 zero u32
#   40 keyed check of the above u64 | 48 keyed pattern up to the end
# Host byte order: both ends are on one machine (or one clock would mean nothing).
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    PAYLOAD_LEAST = 48              # octets

cdef struct PayloadHead:
    uint32_t stream
    uint32_t length
    uint64_t number
    uint64_t sent_ns
    uint8_t header[12]
    uint32_t zero
    uint64_t check

cdef inline uint64_t mix(uint64_t state) noexcept nogil:
    """splitmix64: one step and its output."""
    state += <uint64_t>0x9E3779B97F4A7C15
    state = (state ^ (state >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    state = (state ^ (state >> 27)) * <uint64_t>0x94D049BB133111EB
    return state ^ (state >> 31)

cdef inline uint64_t keyed_check(uint64_t key, const void *data, uint32_t words) noexcept nogil:
    cdef uint64_t word, state = key
    cdef uint32_t n
    for n in range(words):
        memcpy(&word, <const uint8_t *>data + 8 * n, 8)
        state = mix(state ^ word)
    return state

cdef inline void payload_pattern(uint8_t *out, uint32_t octets, uint64_t seed) noexcept nogil:
    cdef uint64_t word
    cdef uint32_t done = 0
    while done < octets:
        seed = mix(seed)
        word = seed
        memcpy(out + done, &word, 8 if octets - done >= 8 else octets - done)
        done += 8

cdef inline bint payload_pattern_holds(const uint8_t *data, uint32_t octets, uint64_t seed) noexcept nogil:
    cdef uint64_t word
    cdef uint32_t done = 0
    while done < octets:
        seed = mix(seed)
        word = seed
        if memcmp(data + done, &word, 8 if octets - done >= 8 else octets - done) != 0:
            return False
        done += 8
    return True

cdef inline void payload_write(uint8_t *rtp, uint32_t length, uint64_t key, uint32_t stream, uint64_t number,
                               uint64_t now) noexcept nogil:
    """Fill `length` octets (at least PAYLOAD_LEAST) behind the 12-octet header at `rtp`."""
    cdef PayloadHead head
    head.stream, head.length, head.number, head.sent_ns, head.zero = stream, length, number, now, 0
    memcpy(head.header, rtp, 12)
    head.check = keyed_check(key, &head, 5)
    memcpy(rtp + 12, &head, PAYLOAD_LEAST)
    payload_pattern(rtp + 12 + PAYLOAD_LEAST, length - PAYLOAD_LEAST, head.check)

cdef inline bint payload_read(const uint8_t *payload, uint32_t length, uint64_t key, PayloadHead *head) noexcept nogil:
    """False when one octet is not what a sender with this key wrote."""
    if length < PAYLOAD_LEAST:
        return False
    memcpy(head, payload, PAYLOAD_LEAST)
    if head.length != length or head.check != keyed_check(key, head, 5):
        return False
    return payload_pattern_holds(payload + PAYLOAD_LEAST, length - PAYLOAD_LEAST, head.check)
