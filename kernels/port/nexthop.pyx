# cython: language_level=3
"""The writer's side of the next-hop table (see nexthop.pxd)."""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.port.address cimport peer_address, peer_parse
from kernels.port.nexthop cimport HOP_DOWN, HOP_FREE, HOP_UP, PROBES, NextHop, Wanted, next_hop_hash
from kernels.wire.atomics cimport load_acquire_u32, store_release_u32
from kernels.wire.packet cimport Peer


cdef class NextHops:
    """`set_next_hop` writes one row, `forget` empties it. Without memory given it owns `count` rows of its own."""

    def __cinit__(self, uint32_t count=0):
        cdef unsigned char[::1] view
        if count:
            if count & (count - 1):
                raise ValueError("a power of two")
            self.owner = bytearray(<uint64_t>count * sizeof(NextHop))
            view = self.owner
            self.rows, self.count = <NextHop *>&view[0], count

    def set_next_hop(self, uint32_t interface, str destination, uint32_t ifindex, str source_mac, str destination_mac,
                     uint32_t mtu, uint32_t outer=0, uint32_t inner=0, bint usable=True):
        """Create or replace the row of a destination. False: no place left for it. ValueError: no address or MAC."""
        cdef Peer to = peer_parse(destination, 1)
        cdef NextHop row
        cdef bytes here = bytes.fromhex(source_mac.replace(":", "")) if usable else bytes(6)
        cdef bytes there = bytes.fromhex(destination_mac.replace(":", "")) if usable else bytes(6)
        if len(here) != 6 or len(there) != 6:
            raise ValueError(f"no MAC: {source_mac!r}, {destination_mac!r}")
        memset(&row, 0, sizeof(row))
        row.ifindex, row.mtu, row.interface, row.family = ifindex, mtu, <unsigned short>interface, to.family
        row.state = HOP_UP if usable else HOP_DOWN
        memcpy(row.ip, to.ip, 16)
        memcpy(row.way.source_mac, <const char *>here, 6)
        memcpy(row.way.destination_mac, <const char *>there, 6)
        row.way.outer, row.way.inner = <unsigned short>outer, <unsigned short>inner
        return self.put(interface, &to, &row)

    def forget(self, uint32_t interface, str destination):
        """Empty the row of a destination; absent is no error."""
        cdef Peer to = peer_parse(destination, 1)
        cdef NextHop row
        memset(&row, 0, sizeof(row))
        self.put(interface, &to, &row)

    cdef bint put(self, uint32_t interface, const Peer *to, const NextHop *row):
        """Over the row with this key, else into the first free place (a free row is not put anew)."""
        cdef uint32_t start = next_hop_hash(interface, to)
        cdef uint32_t i
        cdef NextHop *place
        cdef NextHop *target = NULL
        for i in range(PROBES if self.count else 0):
            place = &self.rows[(start + i) & (self.count - 1)]
            if place.state == HOP_FREE:
                target = place if target == NULL else target
            elif place.interface == interface and place.family == to.family and memcmp(place.ip, to.ip, 16) == 0:
                target = place
                break
        else:
            if row.state == HOP_FREE:
                return True
        if target == NULL:
            return False
        sequence_begin(&target.sequence)
        memcpy(&target.ifindex, &row.ifindex, sizeof(NextHop) - sizeof(uint32_t))       # all behind the sequence number
        sequence_end(&target.sequence)
        return True


cdef list wanted_take(Wanted *wanted, uint32_t count):
    """Empty the places that are asked for: [(interface number, address)]."""
    cdef Peer to
    found = []
    for i in range(count):
        if load_acquire_u32(&wanted[i].state):
            memset(&to, 0, sizeof(to))
            to.family = wanted[i].family
            memcpy(to.ip, wanted[i].ip, 16)
            found.append((wanted[i].interface, peer_address(&to)[0]))
            store_release_u32(&wanted[i].state, 0)
    return found
