# cython: cdivision=True
# STUN as ICE uses it (RFC 8489, RFC 8445 section 7): a message is read, checked, and answered where it lies.
#
#   stun_parse           structure of a message; reads nothing beyond the length it is given
#   stun_fingerprint_ok  its CRC
#   stun_signed          its MESSAGE-INTEGRITY
#   stun_success, stun_refuse    the answer to a Binding request, written over it
#
# Nothing may follow MESSAGE-INTEGRITY but MESSAGE-INTEGRITY-SHA256 and FINGERPRINT. RFC 8489 section 14.5 would have
# the rest ignored; whoever appends to a signed message is up to no good (security-and-faults D8), so it is refused.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from kernels.cipher.hmac cimport HmacKey, hmac_sign
from kernels.clib.openssl cimport CRYPTO_memcmp
from kernels.wire.crc32 cimport crc32_of
from kernels.wire.octets cimport load_be16, load_be32, store_be16, store_be32
from kernels.wire.packet cimport Peer

cdef enum:
    STUN_HEADER = 20
    STUN_COOKIE = 0x2112A442
    STUN_FINGERPRINT_XOR = 0x5354554E
    STUN_LONGEST_USERNAME = 509     # RFC 8489 section 14.3

cdef enum StunType:                 # method Binding (section 5)
    STUN_REQUEST = 0x0001
    STUN_INDICATION = 0x0011
    STUN_SUCCESS = 0x0101
    STUN_ERROR = 0x0111

cdef enum StunAttribute:            # those below 0x8000 must be understood (section 14)
    STUN_USERNAME = 0x0006
    STUN_INTEGRITY = 0x0008
    STUN_ERROR_CODE = 0x0009
    STUN_UNKNOWN_ATTRIBUTES = 0x000A
    STUN_INTEGRITY_SHA256 = 0x001C
    STUN_XOR_MAPPED_ADDRESS = 0x0020
    STUN_PRIORITY = 0x0024          # RFC 8445 section 16.1
    STUN_USE_CANDIDATE = 0x0025
    STUN_FINGERPRINT = 0x8028
    STUN_ICE_CONTROLLED = 0x8029

cdef enum:
    STUN_MOST_UNKNOWN = 4           # told in a 420

cdef struct StunMessage:
    uint16_t type
    uint16_t username               # offset of the value
    uint16_t username_octets        # 0: none
    uint16_t integrity              # offset of the attribute, 0: none
    uint16_t fingerprint            # offset of the attribute, 0: none
    uint16_t priority               # offset of the value, 0: none
    uint8_t use_candidate
    uint8_t controlled              # the sender takes itself for the controlled one
    uint8_t unknown_count           # attributes that had to be understood
    uint16_t unknown[STUN_MOST_UNKNOWN]

cdef inline bint stun_parse(const uint8_t *data, uint32_t length, StunMessage *message) noexcept nogil:
    """False: not a well-formed message of the method Binding."""
    cdef uint32_t at = STUN_HEADER, octets
    cdef uint16_t kind
    cdef uint8_t closed = 0, place
    memset(message, 0, sizeof(StunMessage))
    if length < STUN_HEADER or length > 65535 or load_be32(data + 4) != STUN_COOKIE:
        return False
    if load_be16(data + 2) != length - STUN_HEADER or length % 4:
        return False
    message.type = load_be16(data)
    if message.type & 0xFEEF != STUN_REQUEST:
        return False
    while at < length:
        # `at` and `length` are multiples of four: an attribute's header fits
        kind, octets = load_be16(data + at), load_be16(data + at + 2)
        if octets > length - at - 4:
            return False
        place = stun_place(kind)
        if closed and place <= closed:
            return False
        if not stun_note(message, kind, at, octets):
            return False
        closed = max(closed, place)
        at += 4 + ((octets + 3) & ~<uint32_t>3)
    return True                                         # the last one's padding fits: both ends are multiples of four

cdef inline uint8_t stun_place(uint16_t kind) noexcept nogil:
    """What ends a message, in this order; 0: everything before it."""
    if kind == STUN_INTEGRITY:
        return 1
    if kind == STUN_INTEGRITY_SHA256:
        return 2
    return 3 if kind == STUN_FINGERPRINT else 0

cdef inline bint stun_note(StunMessage *message, uint16_t kind, uint32_t at, uint32_t octets) noexcept nogil:
    """Take an attribute in; of several of one kind the first counts (section 14). False: its length is wrong."""
    if kind == STUN_USERNAME:
        if not message.username_octets:
            message.username, message.username_octets = <uint16_t>(at + 4), <uint16_t>octets
        return 0 < octets <= STUN_LONGEST_USERNAME
    if kind == STUN_INTEGRITY:
        message.integrity = <uint16_t>at
        return octets == 20
    if kind == STUN_INTEGRITY_SHA256:
        return 16 <= octets <= 32 and octets % 4 == 0
    if kind == STUN_FINGERPRINT:
        message.fingerprint = <uint16_t>at
        return octets == 4
    if kind == STUN_PRIORITY:
        if not message.priority:
            message.priority = <uint16_t>(at + 4)
        return octets == 4
    if kind == STUN_ICE_CONTROLLED:
        message.controlled = 1
        return octets == 8
    if kind == STUN_USE_CANDIDATE:
        message.use_candidate = 1
        return octets == 0
    if kind < 0x8000 and message.type == STUN_REQUEST:
        if message.unknown_count < STUN_MOST_UNKNOWN:
            message.unknown[message.unknown_count] = kind
            message.unknown_count += 1
    return True

cdef inline bint stun_fingerprint_ok(const uint8_t *data, const StunMessage *message) noexcept nogil:
    """There is one and it is right. It is the last attribute, so the header's length is that of its time."""
    if not message.fingerprint:
        return False
    return load_be32(data + message.fingerprint + 4) == crc32_of(data, message.fingerprint) ^ STUN_FINGERPRINT_XOR

cdef inline bint stun_signed(uint8_t *data, const StunMessage *message, const HmacKey *key) noexcept nogil:
    """Whether MESSAGE-INTEGRITY is there and this key's (section 14.5: the length in the header is then that up to its
    end; it is put back). In constant time."""
    cdef uint8_t digest[20]
    cdef uint16_t length = load_be16(data + 2)
    if not message.integrity:
        return False
    store_be16(data + 2, <uint16_t>(message.integrity + 24 - STUN_HEADER))
    hmac_sign(key, data, message.integrity, digest)
    store_be16(data + 2, length)
    return CRYPTO_memcmp(digest, data + message.integrity + 4, 20) == 0

# -- answers: over the request, whose transaction id stays where it is -------------------------------------------

cdef inline uint32_t stun_success(uint8_t *data, uint32_t room, const Peer *source, const HmacKey *key) noexcept nogil:
    """Octets of a success response that tells `source` its address (section 14.2); 0: no room."""
    cdef uint32_t ip = 4 if source.family == 4 else 16, i
    if room < STUN_HEADER + 8 + ip + 24 + 8:
        return 0
    stun_attribute(data, STUN_HEADER, STUN_XOR_MAPPED_ADDRESS, 4 + ip)
    data[24], data[25] = 0, 1 if source.family == 4 else 2
    store_be16(data + 26, source.port ^ (STUN_COOKIE >> 16))
    for i in range(ip):                                 # cookie and transaction id, as they stand in the header
        data[28 + i] = source.ip[i] ^ data[4 + i]
    return stun_finish(data, STUN_SUCCESS, STUN_HEADER + 8 + ip, key)

cdef inline uint32_t stun_refuse(uint8_t *data, uint32_t room, uint32_t code, const StunMessage *message,
                                 const HmacKey *key) noexcept nogil:
    """Octets of an error response (section 14.8) without a phrase: it must not be much longer than the request. It is
    signed where the request was (`key`), else not (section 9.1.3). 0: no room."""
    cdef uint32_t at = STUN_HEADER + 8, i
    if room < STUN_HEADER + 8 + 4 + 2 * STUN_MOST_UNKNOWN + 24 + 8:
        return 0
    stun_attribute(data, STUN_HEADER, STUN_ERROR_CODE, 4)
    data[24], data[25], data[26], data[27] = 0, 0, <uint8_t>(code // 100), <uint8_t>(code % 100)
    if code == 420:
        stun_attribute(data, at, STUN_UNKNOWN_ATTRIBUTES, 2 * message.unknown_count)
        for i in range(message.unknown_count):
            store_be16(data + at + 4 + 2 * i, message.unknown[i])
        at += 4 + 2 * message.unknown_count
        if message.unknown_count & 1:
            store_be16(data + at, 0)
            at += 2
    return stun_finish(data, STUN_ERROR, at, key)

cdef inline void stun_attribute(uint8_t *data, uint32_t at, uint16_t kind, uint32_t octets) noexcept nogil:
    store_be16(data + at, kind)
    store_be16(data + at + 2, <uint16_t>octets)

cdef inline uint32_t stun_finish(uint8_t *data, uint16_t kind, uint32_t at, const HmacKey *key) noexcept nogil:
    """Type, signature (NULL: none) and fingerprint of a message whose attributes end at `at`; its octets."""
    cdef uint8_t digest[20]
    store_be16(data, kind)
    if key != NULL:
        store_be16(data + 2, <uint16_t>(at + 24 - STUN_HEADER))
        hmac_sign(key, data, at, digest)
        stun_attribute(data, at, STUN_INTEGRITY, 20)
        memcpy(data + at + 4, digest, 20)
        at += 24
    store_be16(data + 2, <uint16_t>(at + 8 - STUN_HEADER))
    stun_attribute(data, at, STUN_FINGERPRINT, 4)
    store_be32(data + at + 4, crc32_of(data, at) ^ STUN_FINGERPRINT_XOR)
    return at + 8

cdef inline bint stun_names(const uint8_t *data, const StunMessage *message, const uint8_t *fragment,
                            uint32_t octets) noexcept nogil:
    """Whether the part of USERNAME before its colon is this user fragment (RFC 8445 section 7.3)."""
    return (octets != 0 and message.username_octets > octets and data[message.username + octets] == 58  # ":"
            and memcmp(data + message.username, fragment, octets) == 0)
