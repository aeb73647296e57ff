# Ethernet, IPv4 and UDP around a datagram, written and checked without the product's own code (kernels/wire/frame*), so
# that an error of one is not hidden by the same error of the other (RFC 791, RFC 768, RFC 1071).
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.wire.octets cimport load_be16, load_be32, store_be16, store_be32

cdef enum:
    ETHERNET = 14
    HEADERS = 42                    # Ethernet, IPv4 without options, UDP

cdef inline uint32_t folded(uint64_t total) noexcept nogil:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return <uint32_t>total

cdef inline uint64_t summed(const uint8_t *data, uint32_t octets) noexcept nogil:
    """One's complement sum, not folded, in host order of 16-bit words in network order; an odd octet is padded."""
    cdef uint64_t total = 0
    cdef uint32_t word, n = 0
    cdef uint16_t last = 0
    while n + 4 <= octets:
        memcpy(&word, data + n, 4)
        total += word
        n += 4
    if n + 2 <= octets:
        memcpy(&last, data + n, 2)
        total += last
        n += 2
    if n < octets:
        last = 0
        memcpy(&last, data + n, 1)
        total += last
    return total

cdef inline uint16_t swapped(uint32_t folded_sum) noexcept nogil:
    """A sum of words as they lie in memory, as a number."""
    cdef uint16_t word = <uint16_t>folded_sum
    return load_be16(<const uint8_t *>&word)

cdef inline uint64_t pseudo_header(const uint8_t *ip, uint32_t udp_octets) noexcept nogil:
    cdef uint8_t rest[4]
    rest[0], rest[1] = 0, 17
    store_be16(rest + 2, <uint16_t>udp_octets)
    return summed(ip + 12, 8) + summed(rest, 4)

cdef inline uint32_t frame_write(uint8_t *frame, const uint8_t *macs, const uint8_t *source, const uint8_t *destination,
                                 uint16_t from_port, uint16_t to_port, const uint8_t *data,
                                 uint32_t octets) noexcept nogil:
    """The frame's length. macs: destination and source; source, destination: IPv4, network order."""
    cdef uint8_t *ip = frame + ETHERNET
    cdef uint8_t *udp = ip + 20
    cdef uint16_t check
    memcpy(frame, macs, 12)
    store_be16(frame + 12, 0x0800)
    store_be32(ip, 0x45000000 | (28 + octets))
    store_be32(ip + 4, 0x4000)                              # no identification, may not be fragmented
    store_be32(ip + 8, 0x40110000)                          # TTL 64, UDP
    memcpy(ip + 12, source, 4)
    memcpy(ip + 16, destination, 4)
    store_be16(ip + 10, <uint16_t>~swapped(folded(summed(ip, 20))))
    store_be16(udp, from_port)
    store_be16(udp + 2, to_port)
    store_be16(udp + 4, <uint16_t>(8 + octets))
    store_be16(udp + 6, 0)
    memcpy(udp + 8, data, octets)
    check = <uint16_t>~swapped(folded(summed(udp, 8 + octets) + pseudo_header(ip, 8 + octets)))
    store_be16(udp + 6, check if check else 0xFFFF)
    return HEADERS + octets

cdef inline bint checksum_holds(const uint8_t *ip, const uint8_t *udp, uint32_t octets) noexcept nogil:
    """None, the right one, or the pseudo header's alone: that is how a kernel leaves it to the card (veth has none)."""
    cdef uint16_t given = load_be16(udp + 6)
    if given == 0 or given == swapped(folded(pseudo_header(ip, octets))):
        return True
    return folded(summed(udp, octets) + pseudo_header(ip, octets)) == 0xFFFF

cdef inline uint32_t frame_read(const uint8_t *frame, uint32_t length) noexcept nogil:
    """Octets of the UDP payload at frame + HEADERS, 0: it is none that we can use."""
    cdef const uint8_t *ip = frame + ETHERNET
    cdef uint32_t octets
    if length < HEADERS or load_be16(frame + 12) != 0x0800 or ip[0] != 0x45 or ip[9] != 17:
        return 0
    if load_be16(ip + 6) & 0x3FFF or folded(summed(ip, 20)) != 0xFFFF:
        return 0
    octets = load_be16(ip + 24)
    if octets < 8 or load_be16(ip + 2) != 20 + octets or length < ETHERNET + 20 + octets:
        return 0
    return octets - 8 if checksum_holds(ip, ip + 20, octets) else 0
