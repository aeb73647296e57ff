# What a datagram is and how long its RTP header is. Reads nothing beyond the length it is given.
from libc.stdint cimport int32_t, uint8_t, uint32_t

from kernels.wire.octets cimport load_be16, load_be32
from kernels.wire.packet cimport (
    DROP_MALFORMED, DROP_NONE, DROP_TOO_SHORT, Drop, KIND_DTLS, KIND_RTCP, KIND_RTP, KIND_STUN, KIND_TURN,
    KIND_UNKNOWN, KIND_ZRTP, Kind,
)

cdef enum:
    RTP_FIXED = 12              # RTP header without CSRCs and extension
    RTCP_FIXED = 8              # first RTCP header and its SSRC: what SRTCP leaves in the clear

cdef inline Kind classify(const uint8_t *data, uint32_t length) noexcept nogil:
    """First octet by RFC 7983 section 7; then RTCP is payload type 64..95 (RFC 5761 section 4)."""
    if length < 2:
        return KIND_UNKNOWN
    cdef uint8_t first = data[0]
    if 128 <= first <= 191:
        return KIND_RTCP if 64 <= (data[1] & 0x7F) <= 95 else KIND_RTP
    if first <= 3:
        return KIND_STUN
    if 16 <= first <= 19:
        return KIND_ZRTP
    if 20 <= first <= 63:
        return KIND_DTLS
    if 64 <= first <= 79:
        return KIND_TURN
    return KIND_UNKNOWN

cdef inline int32_t rtp_header_octets(const uint8_t *data, uint32_t length) noexcept nogil:
    """Octets of fixed header, CSRCs and extension (RFC 3550 sections 5.1, 5.3.1); a negative Drop when `length` does
    not hold them."""
    if length < RTP_FIXED:
        return -<int32_t>DROP_TOO_SHORT
    if data[0] >> 6 != 2:
        return -<int32_t>DROP_MALFORMED
    cdef uint32_t octets = RTP_FIXED + 4 * <uint32_t>(data[0] & 0x0F)
    if data[0] & 0x10:
        if octets + 4 > length:
            return -<int32_t>DROP_MALFORMED
        octets += 4 + 4 * <uint32_t>load_be16(data + octets + 2)
    if octets > length:
        return -<int32_t>DROP_MALFORMED
    return <int32_t>octets

cdef inline Drop rtp_check(const uint8_t *data, uint32_t length) noexcept nogil:
    """A plain RTP packet that nobody behind us will read past the end of: header fits, padding fits (row A10)."""
    cdef int32_t header = rtp_header_octets(data, length)
    if header < 0:
        return <Drop>-header
    if data[0] & 0x20 and (<uint32_t>header == length or data[length - 1] > length - <uint32_t>header):
        return DROP_MALFORMED
    return DROP_NONE

cdef inline Drop rtcp_check(const uint8_t *data, uint32_t length) noexcept nogil:
    """A plain compound RTCP packet whose parts fill it exactly (RFC 3550 section 6.1, A.2; row A10)."""
    cdef uint32_t at = 0, octets
    if length < RTCP_FIXED:
        return DROP_TOO_SHORT
    while at < length:
        if length - at < 4 or data[at] >> 6 != 2:
            return DROP_MALFORMED
        octets = 4 * (<uint32_t>load_be16(data + at + 2) + 1)
        if octets > length - at:
            return DROP_MALFORMED
        if data[at] & 0x20 and (octets == 4 or data[at + octets - 1] > octets - 4):
            return DROP_MALFORMED
        at += octets
    return DROP_NONE

cdef inline Drop opaque_check(const uint8_t *data, uint32_t length, bint rtp) noexcept nogil:
    """SRTP or SRTCP that passes as it is: what is not encrypted fits (RFC 3711 sections 3.1, 3.4); paddings and the
    parts of a compound cannot be seen."""
    cdef int32_t header
    if not rtp:
        return DROP_TOO_SHORT if length < RTCP_FIXED else DROP_MALFORMED if data[0] >> 6 != 2 else DROP_NONE
    header = rtp_header_octets(data, length)
    return <Drop>-header if header < 0 else DROP_NONE

cdef inline uint32_t rtp_ssrc(const uint8_t *data) noexcept nogil:
    return load_be32(data + 8)

cdef inline uint32_t rtcp_ssrc(const uint8_t *data) noexcept nogil:
    return load_be32(data + 4)
