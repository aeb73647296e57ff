# cython: language_level=3
"""The wire checks of rtp.pxd for Python (tests, tools)."""
from kernels.wire.packet import Drop as _Drop, Kind as _Kind


def kind(const uint8_t[::1] data not None):
    """Kind of a datagram by its first two octets (RFC 7983, RFC 5761)."""
    return _Kind(classify(&data[0], <uint32_t>data.shape[0]) if data.shape[0] else KIND_UNKNOWN)


def header_octets(const uint8_t[::1] data not None):
    """Octets of the RTP header with CSRCs and extension, or the Drop that says why there is none."""
    cdef int32_t octets = -<int32_t>DROP_TOO_SHORT
    if data.shape[0]:
        octets = rtp_header_octets(&data[0], <uint32_t>data.shape[0])
    return octets if octets >= 0 else _Drop(-octets)


def check_rtp(const uint8_t[::1] data not None):
    """DROP_NONE, or why this plain RTP packet must not be passed on (security row A10)."""
    return _Drop(rtp_check(&data[0], <uint32_t>data.shape[0]) if data.shape[0] else DROP_TOO_SHORT)


def check_rtcp(const uint8_t[::1] data not None):
    """DROP_NONE, or why this plain RTCP packet must not be passed on (security row A10)."""
    return _Drop(rtcp_check(&data[0], <uint32_t>data.shape[0]) if data.shape[0] else DROP_TOO_SHORT)
