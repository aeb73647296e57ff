# cython: language_level=3
"""The frame reader and writer for Python: tests, tools."""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.port.address cimport inet_ntop, peer_parse
from kernels.clib.linux cimport AF_INET, AF_INET6
from kernels.wire.frame cimport FRAME_HEADERS, Seen, Way, frame_headers, frame_read, frame_write
from kernels.wire.packet cimport DROP_NONE, Drop, Peer

from kernels.wire.packet import Drop as Drops


cdef str text_of(const uint8_t *ip, int family):
    cdef char text[64]
    inet_ntop(AF_INET if family == 4 else AF_INET6, ip, text, sizeof(text))
    return text.decode("ascii")


def read(const uint8_t[::1] frame):
    """(source, destination, (VLAN ids), datagram) of a frame, or the Drop it is refused under."""
    cdef Seen seen
    cdef Drop verdict = frame_read(&frame[0] if frame.shape[0] else NULL, <uint32_t>frame.shape[0], &seen)
    if verdict != DROP_NONE:
        return Drops(verdict)
    source = (text_of(seen.source.ip, seen.source.family), seen.source.port)
    destination = (text_of(seen.destination, seen.source.family), seen.port)
    vlans = tuple(vlan for vlan in (seen.outer, seen.inner) if vlan)
    return source, destination, vlans, bytes(frame[seen.at:seen.at + seen.length])


def write(bytes source_mac, bytes destination_mac, tuple source, tuple destination, bytes datagram, vlans=(),
          uint8_t tos=0):
    """A frame as the `xdp` port sends it; tos: TOS or traffic class octet. ValueError."""
    cdef Way way
    cdef Peer local = peer_parse(source[0], source[1])
    cdef Peer to = peer_parse(destination[0], destination[1])
    cdef bytearray room = bytearray(FRAME_HEADERS) + datagram
    cdef uint8_t[::1] view = room
    if local.family != to.family or len(source_mac) != 6 or len(destination_mac) != 6:
        raise ValueError("families differ, or a MAC has not six octets")
    to.tos = tos
    memset(&way, 0, sizeof(way))
    memcpy(way.source_mac, <const char *>source_mac, 6)
    memcpy(way.destination_mac, <const char *>destination_mac, 6)
    way.outer = vlans[0] if len(vlans) > 0 else 0
    way.inner = vlans[1] if len(vlans) > 1 else 0
    frame_write(&view[0] + FRAME_HEADERS, <uint32_t>len(datagram), &way, local.ip, local.port, &to)
    return bytes(room[FRAME_HEADERS - frame_headers(&way, to.family):])
