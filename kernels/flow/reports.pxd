# Reports of a flow's far end, taken from accepted RTCP (RFC 3550 section 6.4, RFC 3611 section 4.7).
#
#   reports_heard   a compound packet that came by the flow: what it says of the stream that leaves there
#   reports_sent    a compound packet that leaves by the flow: the sender report that the next report answers
#
# The round trip is the leg's alone, not that between the phones: our own clock at the sender report's passage, RFC 3550
# section 6.4.1 for the rest. Both are given packets that rtcp_check let through, so parts fill the packet.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kernels.control.sequence cimport sequence_begin, sequence_end
from kernels.flow.reports_table cimport VOIP_OCTETS, Reports, reports_ms, reports_us
from kernels.flow.table cimport Flow
from kernels.wire.octets cimport load_be16, load_be32

cdef enum:
    RTCP_SR = 200
    RTCP_RR = 201
    RTCP_XR = 207
    REPORT_OCTETS = 24
    XR_VOIP = 7
    XR_VOIP_WORDS = 8

cdef inline void reports_heard(Flow *flow, const uint8_t *data, uint32_t length, uint64_t now) noexcept nogil:
    cdef uint32_t at = 0, octets
    sequence_begin(&flow.sequence)
    while at < length:
        octets = 4 * (<uint32_t>load_be16(data + at + 2) + 1)
        if data[at + 1] == RTCP_SR:
            reports_blocks(&flow.reports, data + at, octets, 28, now)
        elif data[at + 1] == RTCP_RR:
            reports_blocks(&flow.reports, data + at, octets, 8, now)
        elif data[at + 1] == RTCP_XR:
            reports_extended(&flow.reports, data + at, octets, now)
        at += octets
    sequence_end(&flow.sequence)

cdef inline void reports_blocks(
    Reports *reports, const uint8_t *part, uint32_t octets, uint32_t at, uint64_t now
) noexcept nogil:
    """The block on whose sender report we passed on last; without such a one, the first."""
    cdef const uint8_t *found = NULL
    cdef uint32_t _blocks
    for _blocks in range(part[0] & 0x1F):
        if at + REPORT_OCTETS > octets:
            break
        if found == NULL or (reports.sent_us and load_be32(part + at) == reports.sent_ssrc):
            found = part + at
        at += REPORT_OCTETS
    if found != NULL:
        reports_take(reports, found, now)

cdef inline void reports_take(Reports *reports, const uint8_t *block, uint64_t now) noexcept nogil:
    """RFC 3550 section 6.4.1. A round trip that cannot be (a report that lies, another's clock) changes nothing."""
    cdef uint64_t passed, kept
    reports.heard_ms = reports_ms(now)
    reports.lost = load_be32(block + 4)
    reports.jitter = load_be32(block + 12)
    if reports.sent_us and load_be32(block + 16) == reports.sent_time:
        passed = <uint32_t>(reports_us(now) - reports.sent_us)
        kept = (<uint64_t>load_be32(block + 20) * 1000000) >> 16
        if passed >= kept:
            reports.round_trip_us = <uint32_t>(passed - kept) | 1

cdef inline void reports_extended(Reports *reports, const uint8_t *part, uint32_t octets, uint64_t now) noexcept nogil:
    """RFC 3611 section 2: blocks with a type and a length in words; one that lies about it ends the reading."""
    cdef uint32_t at = 8, words
    while at + 4 <= octets:
        words = load_be16(part + at + 2)
        if 4 * (words + 1) > octets - at:
            return
        if part[at] == XR_VOIP and words == XR_VOIP_WORDS:
            memcpy(reports.voip, part + at + 4, VOIP_OCTETS)
            reports.voip_ms = reports_ms(now)
        at += 4 * (words + 1)

cdef inline void reports_sent(Flow *flow, const uint8_t *data, uint32_t length, uint64_t now) noexcept nogil:
    """A compound begins with its sender report (RFC 3550 section 6.1); reduced-size packets (RFC 5506) have none."""
    if length < 20 or data[1] != RTCP_SR:
        return
    sequence_begin(&flow.sequence)
    flow.reports.sent_us = reports_us(now)
    flow.reports.sent_ssrc = load_be32(data + 4)
    flow.reports.sent_time = load_be32(data + 10)
    sequence_end(&flow.sequence)
