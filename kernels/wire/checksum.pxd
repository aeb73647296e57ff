# The Internet checksum (RFC 1071) of a UDP datagram with its pseudo header (RFC 768, RFC 8200 section 8.1).
#
# Sums are of native 32-bit words and folded at the end: a one's complement sum has the same octets in every byte order.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef inline uint64_t checksum_add(uint64_t total, const uint8_t *data, uint32_t octets) noexcept nogil:
    """`total` plus the words of `data`; an odd end counts as followed by zeros, so only the last piece may have one."""
    cdef uint32_t word
    cdef uint32_t i
    for i in range(octets >> 2):
        memcpy(&word, data + 4 * i, 4)
        total += word
    if octets & 3:
        word = 0
        memcpy(&word, data + (octets & ~<uint32_t>3), octets & 3)
        total += word
    return total

cdef inline uint16_t checksum_end(uint64_t total) noexcept nogil:
    """What belongs into a UDP header's checksum field, octets as they are: never 0, which would mean "none"."""
    cdef uint16_t inverted
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    inverted = <uint16_t>(~total & 0xFFFF)
    return inverted if inverted else 0xFFFF
