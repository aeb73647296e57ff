# What the far end of a flow says, in its RTCP, about what it gets from us; a row of each flow (kernels/flow/table.pxd).
# Times are the low 32 bits of CLOCK_MONOTONIC, with the lowest set: 0 is "never". One cache line.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    VOIP_OCTETS = 32            # of a VoIP metrics block behind its own header (RFC 3611 section 4.7)

cdef struct Reports:
    uint32_t sent_us            # when the newest sender report that left here came
    uint32_t heard_ms           # when the newest report on what left here came
    uint32_t voip_ms            # when the newest VoIP metrics came
    uint32_t sent_time          # middle 32 bits of that sender report's NTP time
    uint32_t sent_ssrc          # whose it was
    uint32_t lost               # as on the wire: 8 bits of fraction, 24 bits of cumulative number
    uint32_t jitter             # in units of the stream's timestamp
    uint32_t round_trip_us      # between us and the far end; 0: not known
    uint8_t voip[VOIP_OCTETS]

cdef inline uint32_t reports_us(uint64_t now) noexcept nogil:
    """Nanoseconds as they are kept here."""
    return <uint32_t>(now // 1000) | 1

cdef inline uint32_t reports_ms(uint64_t now) noexcept nogil:
    return <uint32_t>(now // 1000000) | 1
