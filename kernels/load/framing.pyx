# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The headers of frames.pxd for Python: tests compare them with another way to compute them."""
import socket

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from kernels.load.frames cimport HEADERS, frame_read, frame_write


def write(bytes macs, str source, str destination, uint16_t from_port, uint16_t to_port, bytes payload):
    cdef uint8_t frame[2048]
    cdef bytes here = socket.inet_aton(source), there = socket.inet_aton(destination)
    cdef uint32_t length
    if len(macs) != 12 or len(payload) > 2048 - HEADERS:
        raise ValueError("macs: 12 octets; payload: too long")
    length = frame_write(frame, macs, here, there, from_port, to_port, payload, <uint32_t>len(payload))
    return (<char *>frame)[:length]


def read(bytes frame):
    """None: not a datagram that we can use."""
    cdef uint32_t length = <uint32_t>len(frame)
    cdef uint8_t *copy = <uint8_t *>malloc(length + 1)
    if copy == NULL:
        raise MemoryError
    try:
        memcpy(copy, <const char *>frame, length)
        length = frame_read(copy, length)
        return (<char *>copy)[HEADERS:HEADERS + length] if length else None
    finally:
        free(copy)
