# cython: cdivision=True
# What is changed in a packet between open and seal because the two legs negotiated differently. In place; never longer.
#
#   rewrite_rtp    payload type and header extension ids as the leg that gets the packet knows them, G.711 in its law
#   feedback_cut   RTCP feedback taken out of a compound packet for a leg without AVPF (row A22)
#
# Both are given packets that rtp_check or rtcp_check let through.
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memmove, memset

from kernels.clib.expect cimport rare
from kernels.control.records cimport FLOW_EXTENSIONS, FLOW_TYPES, REWRITE_TO_ALAW, REWRITE_TO_ULAW, FlowRewrite
from kernels.flow.g711 cimport g711_to_alaw, g711_to_ulaw
from kernels.wire.octets cimport load_be16
from kernels.wire.rtp cimport RTP_FIXED

cdef enum:
    ONE_BYTE = 0xBEDE           # RFC 8285 section 4.2
    TWO_BYTE = 0x100            # section 4.3, the upper twelve bits
    LONGEST_ONE_BYTE_ID = 14
    STOP_ID = 15                # section 4.2: whoever sees it reads no further
    RTPFB = 205                 # RFC 4585 section 6.1
    PSFB = 206

cdef inline bint rewrite_rtp(uint8_t *data, uint32_t length, uint32_t flags,
                             const FlowRewrite *rewrite) noexcept nogil:
    """Whatever FLOW_TYPES and FLOW_EXTENSIONS of `flags` ask for; whether the payload was transcoded."""
    cdef uint8_t *block
    cdef uint32_t octets
    cdef bint transcoded = flags & FLOW_TYPES and rewrite_type(data, length, rewrite)
    if flags & FLOW_EXTENSIONS and data[0] & 0x10:
        block = data + RTP_FIXED + 4 * <uint32_t>(data[0] & 0x0F)
        octets = 4 * <uint32_t>load_be16(block + 2)
        if load_be16(block) == ONE_BYTE:
            rewrite_one_byte(block + 4, octets, rewrite)
        elif load_be16(block) >> 4 == TWO_BYTE:
            rewrite_two_byte(block + 4, octets, rewrite)
    return transcoded

cdef inline bint rewrite_type(uint8_t *data, uint32_t length, const FlowRewrite *rewrite) noexcept nogil:
    """A number that is not in the table stays, and so does its payload; the marker stays in any case."""
    cdef uint8_t kind = data[1] & 0x7F
    cdef uint32_t i
    for i in range(rewrite.types):
        if rewrite.type_from[i] & 0x7F == kind:
            data[1] = (data[1] & 0x80) | (rewrite.type_to[i] & 0x7F)
            if rare(rewrite.type_to[i] & REWRITE_TO_ALAW):
                g711_to_alaw(data + rtp_header(data), rtp_payload(data, length))
                return True
            if rare(rewrite.type_from[i] & REWRITE_TO_ULAW):
                g711_to_ulaw(data + rtp_header(data), rtp_payload(data, length))
                return True
            return False
    return False

cdef inline uint32_t rtp_header(const uint8_t *data) noexcept nogil:
    """Octets before the payload."""
    cdef uint32_t octets = RTP_FIXED + 4 * <uint32_t>(data[0] & 0x0F)
    return octets + 4 + 4 * <uint32_t>load_be16(data + octets + 2) if data[0] & 0x10 else octets

cdef inline uint32_t rtp_payload(const uint8_t *data, uint32_t length) noexcept nogil:
    """Its octets without padding, whose last one is a number."""
    return length - rtp_header(data) - (data[length - 1] if data[0] & 0x20 else 0)

cdef inline uint8_t rewrite_id(uint8_t before, const FlowRewrite *rewrite) noexcept nogil:
    """The other side's id, 0: not negotiated there."""
    cdef uint32_t i
    for i in range(rewrite.extensions):
        if rewrite.extension_from[i] == before:
            return rewrite.extension_to[i]
    return 0

cdef inline void rewrite_one_byte(uint8_t *elements, uint32_t octets, const FlowRewrite *rewrite) noexcept nogil:
    """An element that the other side did not agree to, or whose id there does not fit four bits, becomes padding. So
    does everything from an element on that lies about its length, or from the stop id on."""
    cdef uint32_t at = 0, size
    cdef uint8_t now
    while at < octets:
        if elements[at] == 0:                           # padding
            at += 1
            continue
        size = 2 + <uint32_t>(elements[at] & 0x0F)
        if elements[at] >> 4 == STOP_ID or size > octets - at:
            memset(elements + at, 0, octets - at)
            return
        # id 0 with a length (section 4.2): to be skipped as an element of that length; no table has it
        now = rewrite_id(elements[at] >> 4, rewrite)
        if now == 0 or now > LONGEST_ONE_BYTE_ID:
            memset(elements + at, 0, size)
        else:
            elements[at] = <uint8_t>(now << 4) | (elements[at] & 0x0F)
        at += size

cdef inline void rewrite_two_byte(uint8_t *elements, uint32_t octets, const FlowRewrite *rewrite) noexcept nogil:
    """As above, ids up to 255."""
    cdef uint32_t at = 0, size
    cdef uint8_t now
    while at < octets:
        if elements[at] == 0:
            at += 1
            continue
        if octets - at < 2 or 2 + <uint32_t>elements[at + 1] > octets - at:
            memset(elements + at, 0, octets - at)
            return
        size = 2 + <uint32_t>elements[at + 1]
        now = rewrite_id(elements[at], rewrite)
        if now == 0:
            memset(elements + at, 0, size)
        else:
            elements[at] = now
        at += size

cdef inline uint32_t feedback_cut(uint8_t *data, uint32_t length) noexcept nogil:
    """Octets that are left without the feedback parts; 0: there was nothing else."""
    cdef uint32_t at = 0, kept = 0, octets
    while at < length:
        octets = 4 * (<uint32_t>load_be16(data + at + 2) + 1)
        if data[at + 1] != RTPFB and data[at + 1] != PSFB:
            if kept != at:
                memmove(data + kept, data + at, octets)
            kept += octets
        at += octets
    return kept
