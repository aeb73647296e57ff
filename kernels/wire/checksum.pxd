# The Internet checksum (RFC 1071) of a UDP datagram with its pseudo header (RFC 768, RFC 8200 section 8.1).
#
# Sums are of native 32-bit words and folded at the end: a one's complement sum has the same octets in every byte order.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.wire.octets cimport store_be16

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

cdef inline uint64_t checksum_pseudo(const uint8_t *addresses, uint32_t octets, uint32_t udp_octets) noexcept nogil:
    """Of the pseudo header: both addresses, which lie side by side (8 or 32 octets), UDP, length."""
    cdef uint8_t rest[4]
    rest[0], rest[1] = 0, 17
    store_be16(&rest[2], <uint16_t>udp_octets)
    return checksum_add(checksum_add(0, addresses, octets), rest, 4)

cdef inline uint16_t checksum_fold(uint64_t total) noexcept nogil:
    """One's complement sum of 16-bit words; 0xFFFF where the words hold a right checksum."""
    total = <uint32_t>total + (total >> 32)
    total = <uint32_t>total + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    return <uint16_t>((total & 0xFFFF) + (total >> 16))

cdef inline uint16_t checksum_end(uint64_t total) noexcept nogil:
    """What belongs into a UDP header's checksum field, octets as they are: never 0, which would mean "none"."""
    cdef uint16_t inverted = <uint16_t>~checksum_fold(total)
    return inverted if inverted else 0xFFFF
