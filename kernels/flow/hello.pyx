# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The cookie; see hello.pxd. appliance/protocols/dtls/cookie.py makes the same one and asks for it once more."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.cipher.hmac cimport hmac_sign
from kernels.clib.openssl cimport CRYPTO_memcmp
from kernels.flow.pipeline cimport MARK_ANSWERED, MARK_HELLO
from kernels.flow.punts cimport BUDGET_HELLOS, budget_take
from kernels.wire.dtls cimport DTLS_COOKIE, DTLS_VERIFY_REQUEST, DtlsHello, dtls_hello, dtls_verify_request
from kernels.wire.octets cimport store_be16, store_be32
from kernels.wire.packet cimport DROP_COOKIE, DROP_NONE, DROP_PUNT_RATE, Peer

cdef enum:
    EPOCH_NS = 30000000000      # a cookie is good for one to two of them


cdef Drop hello_receive(Path *path, Packet *packet, bint known) noexcept nogil:
    cdef uint64_t epoch = path.now // EPOCH_NS
    cdef uint8_t cookie[20]
    cdef DtlsHello hello
    if not dtls_hello(packet.data, packet.length, &hello):
        return DROP_NONE
    if hello.sequence == 1:                             # a cookie proves nothing in any other
        if hello.cookie_octets != DTLS_COOKIE:
            return DROP_COOKIE
        if ours(path, packet, hello.cookie, epoch) or ours(path, packet, hello.cookie, epoch - 1):
            return DROP_NONE
        return DROP_COOKIE
    if hello.sequence != 0 or packet.length < DTLS_VERIFY_REQUEST:
        return DROP_NONE
    if not budget_take(path, packet.flow, BUDGET_HELLOS + known):
        return DROP_PUNT_RATE
    bake(path, &packet.peer, epoch, cookie)
    dtls_verify_request(packet.data, cookie)
    packet.length = DTLS_VERIFY_REQUEST
    packet.marks |= MARK_ANSWERED | MARK_HELLO
    return DROP_NONE


cdef inline bint ours(const Path *path, const Packet *packet, uint16_t at, uint64_t epoch) noexcept nogil:
    cdef uint8_t cookie[20]
    bake(path, &packet.peer, epoch, cookie)
    return CRYPTO_memcmp(cookie, packet.data + at, DTLS_COOKIE) == 0


cdef inline void bake(const Path *path, const Peer *source, uint64_t epoch, uint8_t *cookie) noexcept nogil:
    """Of a source, in its first DTLS_COOKIE octets."""
    cdef uint8_t said[27]
    store_be32(said, <uint32_t>(epoch >> 32))
    store_be32(said + 4, <uint32_t>epoch)
    said[8] = source.family
    memcpy(said + 9, source.ip, 16)
    store_be16(said + 25, source.port)
    hmac_sign(&path.cookie_key, said, sizeof(said), cookie)
