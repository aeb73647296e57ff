# Ethernet frames of UDP datagrams: read with every length checked, and written in front of a datagram.
#
#   Ethernet 14 [VLAN 4 [VLAN 4]] | IPv4 20 (no options) or IPv6 40 (no extension headers) | UDP 8 | datagram | padding
#
# `frame_read` believes nothing: the XDP program has looked before, but a foreign program may have put the frame there.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.wire.checksum cimport checksum_add, checksum_end, checksum_fold, checksum_pseudo
from kernels.wire.octets cimport load_be16, store_be16, store_be32
from kernels.wire.packet cimport DROP_CHECKSUM, DROP_FRAME, DROP_NONE, Drop, Peer

cdef enum:
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_VLAN = 0x8100
    ETHERTYPE_QINQ = 0x88A8
    FRAME_HEADERS = 70          # most octets before the datagram: two tags and IPv6
    HOP_LIMIT = 64              # as the kernel's sockets

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <string.h>
    static inline void store_raw16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
    static inline uint16_t load_raw16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
    """
    void store_raw16(uint8_t *p, uint16_t value) noexcept
    uint16_t load_raw16(const uint8_t *p) noexcept

cdef struct Seen:               # what a frame says; offsets from its start
    uint32_t at                 # of the datagram
    uint32_t length             # of the datagram
    Peer source
    uint8_t destination[16]     # IPv4 in the first four octets, as in Peer
    uint16_t port               # destination port
    uint16_t outer              # VLAN ids, 0: no tag
    uint16_t inner

cdef struct Way:                # how a datagram leaves
    uint8_t source_mac[6]
    uint8_t destination_mac[6]
    uint16_t outer              # VLAN ids, 0: no tag
    uint16_t inner

cdef inline bint checksum_right(const uint8_t *udp, uint32_t octets, uint64_t pseudo, bint optional) noexcept nogil:
    """A sender on this machine (veth) leaves the sum of the pseudo header there for its NIC to complete
    (CHECKSUM_PARTIAL); the kernel takes that, and so do we: 1 in 65,536 wrong ones looks like it."""
    cdef uint16_t field = load_raw16(udp + 6)
    if field == 0:
        return optional                                 # IPv4 only (RFC 8200 section 8.1)
    if field == checksum_fold(pseudo):
        return True
    return checksum_fold(checksum_add(pseudo, udp, octets)) == 0xFFFF

cdef inline Drop read_udp(const uint8_t *frame, uint32_t at, uint32_t room, uint32_t addresses, bint optional,
                          Seen *seen) noexcept nogil:
    """The UDP header at `at`, behind the `addresses` octets of both addresses; `room` octets belong to the IP packet
    from there on, all of them in the frame."""
    cdef const uint8_t *udp = frame + at
    cdef uint32_t octets
    if room < 8:
        return DROP_FRAME
    octets = load_be16(udp + 4)
    if octets < 8 or octets > room:
        return DROP_FRAME
    if not checksum_right(udp, octets, checksum_pseudo(udp - addresses, addresses, octets), optional):
        return DROP_CHECKSUM
    seen.source.port = load_be16(udp)
    seen.port = load_be16(udp + 2)
    seen.at = at + 8
    seen.length = octets - 8
    return DROP_NONE

cdef inline Drop read_ipv4(const uint8_t *frame, uint32_t at, uint32_t octets, Seen *seen) noexcept nogil:
    cdef const uint8_t *ip = frame + at
    cdef uint32_t total
    if octets - at < 20 or ip[0] != 0x45 or ip[9] != 17:
        return DROP_FRAME
    total = load_be16(ip + 2)
    if total < 20 or total > octets - at or load_be16(ip + 6) & 0x3FFF:
        return DROP_FRAME                               # lies about its length, or a fragment
    if checksum_fold(checksum_add(0, ip, 20)) != 0xFFFF:
        return DROP_CHECKSUM
    seen.source.family = 4
    memcpy(seen.source.ip, ip + 12, 4)
    memcpy(seen.destination, ip + 16, 4)
    return read_udp(frame, at + 20, total - 20, 8, True, seen)

cdef inline Drop read_ipv6(const uint8_t *frame, uint32_t at, uint32_t octets, Seen *seen) noexcept nogil:
    cdef const uint8_t *ip = frame + at
    cdef uint32_t payload
    if octets - at < 40 or ip[0] >> 4 != 6 or ip[6] != 17:
        return DROP_FRAME
    payload = load_be16(ip + 4)
    if payload > octets - at - 40:
        return DROP_FRAME
    seen.source.family = 6
    memcpy(seen.source.ip, ip + 8, 16)
    memcpy(seen.destination, ip + 24, 16)
    return read_udp(frame, at + 40, payload, 32, False, seen)

cdef inline Drop frame_read(const uint8_t *frame, uint32_t octets, Seen *seen) noexcept nogil:
    """What lies in a frame of `octets` octets: DROP_NONE and `seen`, DROP_FRAME (not plain UDP, or lengths that lie),
    DROP_CHECKSUM. Reads nothing past the frame, changes nothing but `seen`."""
    cdef uint32_t at = 14
    cdef uint16_t kind
    memset(seen, 0, sizeof(Seen))
    if octets < 14:
        return DROP_FRAME
    kind = load_be16(frame + 12)
    if kind == ETHERTYPE_VLAN or kind == ETHERTYPE_QINQ:
        if octets < 18:
            return DROP_FRAME
        seen.outer = load_be16(frame + 14) & 0x0FFF
        kind = load_be16(frame + 16)
        at = 18
        if kind == ETHERTYPE_VLAN or kind == ETHERTYPE_QINQ:
            if octets < 22:
                return DROP_FRAME
            seen.inner = load_be16(frame + 18) & 0x0FFF
            kind = load_be16(frame + 20)
            at = 22
    if kind == ETHERTYPE_IPV4:
        return read_ipv4(frame, at, octets, seen)
    if kind == ETHERTYPE_IPV6:
        return read_ipv6(frame, at, octets, seen)
    return DROP_FRAME

cdef inline uint32_t frame_headers(const Way *way, int family) noexcept nogil:
    """Octets that `frame_write` puts before the datagram."""
    return 22 + (20 if family == 4 else 40) + (4 if way.outer else 0) + (4 if way.inner else 0)

cdef inline uint8_t *write_tag(uint8_t *at, uint16_t kind, uint16_t vlan) noexcept nogil:
    store_be16(at, kind)
    store_be16(at + 2, vlan)
    return at + 4

cdef inline void frame_write(uint8_t *datagram, uint32_t length, const Way *way, const uint8_t *local, uint16_t port,
                             const Peer *to) noexcept nogil:
    """All headers in front of a datagram, checksums in full. IPv4: DF and identification 0 (RFC 6864 section 4.1)."""
    cdef uint8_t *udp = datagram - 8
    cdef uint8_t *ip = udp - (20 if to.family == 4 else 40)
    cdef uint8_t *at = datagram - frame_headers(way, to.family)
    cdef uint32_t octets = length + 8
    cdef uint64_t pseudo
    memcpy(at, way.destination_mac, 6)
    memcpy(at + 6, way.source_mac, 6)
    at += 12
    if way.outer:
        at = write_tag(at, ETHERTYPE_QINQ if way.inner else ETHERTYPE_VLAN, way.outer)
    if way.inner:
        at = write_tag(at, ETHERTYPE_VLAN, way.inner)
    store_be16(udp, port)
    store_be16(udp + 2, to.port)
    store_be16(udp + 4, <uint16_t>octets)
    store_be16(udp + 6, 0)
    if to.family == 4:
        store_be16(at, ETHERTYPE_IPV4)
        store_be32(ip, 0x45000000 | <uint32_t>to.tos << 16 | (octets + 20))
        store_be32(ip + 4, 0x4000)
        store_be32(ip + 8, HOP_LIMIT << 24 | 17 << 16)
        memcpy(ip + 12, local, 4)
        memcpy(ip + 16, to.ip, 4)
        store_raw16(ip + 10, <uint16_t>~checksum_fold(checksum_add(0, ip, 20)))
        pseudo = checksum_pseudo(ip + 12, 8, octets)
    else:
        store_be16(at, ETHERTYPE_IPV6)
        store_be32(ip, 0x60000000 | <uint32_t>to.tos << 20)
        store_be32(ip + 4, octets << 16 | 17 << 8 | HOP_LIMIT)
        memcpy(ip + 8, local, 16)
        memcpy(ip + 24, to.ip, 16)
        pseudo = checksum_pseudo(ip + 8, 32, octets)
    store_raw16(udp + 6, checksum_end(checksum_add(pseudo, udp, octets)))
