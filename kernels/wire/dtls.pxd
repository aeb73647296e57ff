# cython: cdivision=True
# DTLS as far as a server without state reads and writes it (RFC 6347 sections 4.1, 4.2.1, 4.2.2). What needs state is
# in appliance/protocols/dtls; `records.hello` and `records.verify_request` there do the same, and tests compare them.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from kernels.wire.octets cimport load_be16, store_be16

cdef enum:
    DTLS_RECORD = 13            # octets of a header
    DTLS_MESSAGE = 12
    DTLS_COOKIE = 16            # octets of ours
    DTLS_HANDSHAKE = 22
    DTLS_CLIENT_HELLO = 1
    DTLS_HELLO_VERIFY_REQUEST = 3
    DTLS_VERIFY_REQUEST = DTLS_RECORD + DTLS_MESSAGE + 3 + DTLS_COOKIE

cdef struct DtlsHello:
    uint16_t sequence           # of the message: 0 the first one, 1 with a cookie
    uint16_t cookie             # offset of its value
    uint8_t cookie_octets

cdef inline bint dtls_hello(const uint8_t *data, uint32_t length, DtlsHello *hello) noexcept nogil:
    """A ClientHello in plaintext, whole or its first fragment, at the front of a datagram. False: it is none, or has no
    cookie's length in it. Reads nothing beyond `length`."""
    cdef uint32_t end, fragment, at = DTLS_RECORD + DTLS_MESSAGE, place
    if length < at or data[0] != DTLS_HANDSHAKE or data[1] != 0xFE or load_be16(data + 3) != 0:
        return False
    end = DTLS_RECORD + load_be16(data + 11)
    if end > length or end < at or data[DTLS_RECORD] != DTLS_CLIENT_HELLO:
        return False
    fragment = dtls_be24(data + 22)
    if dtls_be24(data + 19) != 0 or fragment > end - at or fragment > dtls_be24(data + 14):
        return False
    place = 34                                          # version, random
    if place >= fragment:
        return False
    place += 1 + data[at + place]                       # session id
    if place >= fragment:
        return False
    hello.sequence = load_be16(data + 17)
    hello.cookie, hello.cookie_octets = <uint16_t>(at + place + 1), data[at + place]
    return place + 1 + hello.cookie_octets <= fragment

cdef inline uint32_t dtls_be24(const uint8_t *data) noexcept nogil:
    return <uint32_t>data[0] << 16 | load_be16(data + 1)

cdef inline void dtls_verify_request(uint8_t *data, const uint8_t *cookie) noexcept nogil:
    """The HelloVerifyRequest, DTLS_VERIFY_REQUEST octets, over the ClientHello that it answers: the numbers of record
    and message stay where they are (section 4.2.1)."""
    cdef uint32_t octets = 3 + DTLS_COOKIE, at = DTLS_RECORD
    data[1], data[2] = 0xFE, 0xFF                       # DTLS 1.0, whatever comes of it
    store_be16(data + 11, <uint16_t>(DTLS_MESSAGE + octets))
    data[at], data[at + 1] = DTLS_HELLO_VERIFY_REQUEST, 0
    store_be16(data + at + 2, <uint16_t>octets)
    data[at + 6], data[at + 7], data[at + 8], data[at + 9] = 0, 0, 0, 0
    store_be16(data + at + 10, <uint16_t>octets)
    at += DTLS_MESSAGE
    data[at], data[at + 1], data[at + 2] = 0xFE, 0xFF, DTLS_COOKIE
    memcpy(data + at + 3, cookie, DTLS_COOKIE)
