# RTCP about a plain source that began anew: its packets leave under shifted sequence numbers (kernels/srtp/seal.pyx),
# so what the far end says of them is put back into the source's own, in place, before anybody reads it.
#
# These formats name sequence numbers of a medium: report blocks (RFC 3550 section 6.4.1: extended highest), NACK and
# TLLEI (RFC 4585 section 6.2.1, RFC 6642 section 6.1: packet id), CCFB (RFC 8888 section 3.1: first one) and blocks of
# extended reports (RFC 3611 sections 4.1 to 4.3, 4.6: begin and end). Transport-wide numbers are not the stream's.
# Not put back: the original number inside of an RTX packet (RFC 4588), and RTCP whose flow has other keys than its RTP
# (DTLS-SRTP without rtcp-mux).
from libc.stdint cimport uint8_t, uint16_t, uint32_t

from kernels.clib.expect cimport rare
from kernels.flow.reports cimport REPORT_OCTETS, RTCP_RR, RTCP_SR, RTCP_XR
from kernels.flow.rewrite cimport RTPFB
from kernels.srtp.lookup cimport crypto_find, stream_find
from kernels.srtp.tables cimport Crypto, Engine
from kernels.wire.octets cimport load_be16, load_be32, store_be16, store_be32
from kernels.wire.packet cimport NO_SLOT

cdef enum:
    FMT_NACK = 1
    FMT_TLLEI = 7
    FMT_CCFB = 11
    XR_LOSS_RLE = 1
    XR_DUPLICATE_RLE = 2
    XR_RECEIPT_TIMES = 3
    XR_STATISTICS = 6
    XR_RANGE_OCTETS = 12        # block header, SSRC, begin, end

cdef inline void restart_back(const Engine *engine, uint32_t slot, uint8_t *data, uint32_t length) noexcept nogil:
    """A compound that rtcp_check let through, about what leaves under crypto `slot`."""
    cdef const Crypto *crypto = crypto_find(engine, slot)
    cdef uint32_t at = 0, octets, used
    if crypto == NULL:
        return
    while at < length:
        octets = 4 * (<uint32_t>load_be16(data + at + 2) + 1)
        used = octets - data[at + octets - 1] if data[at] & 0x20 else octets
        if data[at + 1] == RTCP_SR:
            back_blocks(engine, crypto, data + at, used, 28)
        elif data[at + 1] == RTCP_RR:
            back_blocks(engine, crypto, data + at, used, 8)
        elif data[at + 1] == RTPFB:
            back_feedback(engine, crypto, data + at, used)
        elif data[at + 1] == RTCP_XR:
            back_extended(engine, crypto, data + at, used)
        at += octets

cdef inline uint16_t shift_of(const Engine *engine, const Crypto *crypto, const uint8_t *ssrc) noexcept nogil:
    cdef uint32_t stream = stream_find(engine, crypto, load_be32(ssrc))
    return engine.streams[stream].shift if stream != NO_SLOT else 0

cdef inline void back_number(uint8_t *number, uint16_t shift) noexcept nogil:
    store_be16(number, <uint16_t>(load_be16(number) - shift))

cdef inline void back_blocks(
    const Engine *engine, const Crypto *crypto, uint8_t *part, uint32_t octets, uint32_t at
) noexcept nogil:
    """The cycles go down with a borrow, so that differences between reports hold for the source too."""
    cdef uint16_t shift
    cdef uint32_t _blocks
    for _blocks in range(part[0] & 0x1F):
        if at + REPORT_OCTETS > octets:
            return
        shift = shift_of(engine, crypto, part + at)
        if rare(shift != 0):
            store_be32(part + at + 8, load_be32(part + at + 8) - shift)
        at += REPORT_OCTETS

cdef inline void back_feedback(
    const Engine *engine, const Crypto *crypto, uint8_t *part, uint32_t octets
) noexcept nogil:
    cdef uint32_t form = part[0] & 0x1F, at = 8, metrics
    cdef uint16_t shift
    if form == FMT_CCFB:
        while at + 8 <= octets:                         # the last four octets are a timestamp
            shift = shift_of(engine, crypto, part + at)
            if rare(shift != 0):
                back_number(part + at + 4, shift)
            metrics = load_be16(part + at + 6)
            at += 8 + 4 * ((metrics + 1) // 2)
    elif (form == FMT_NACK or form == FMT_TLLEI) and octets >= 12:
        shift = shift_of(engine, crypto, part + 8)
        at = 12
        while shift != 0 and at + 4 <= octets:
            back_number(part + at, shift)
            at += 4

cdef inline void back_extended(
    const Engine *engine, const Crypto *crypto, uint8_t *part, uint32_t octets
) noexcept nogil:
    """A block that lies about its length ends the reading."""
    cdef uint32_t at = 8, size
    cdef uint16_t shift
    while at + 4 <= octets:
        size = 4 * (<uint32_t>load_be16(part + at + 2) + 1)
        if size > octets - at:
            return
        if part[at] in (XR_LOSS_RLE, XR_DUPLICATE_RLE, XR_RECEIPT_TIMES, XR_STATISTICS) and size >= XR_RANGE_OCTETS:
            shift = shift_of(engine, crypto, part + at + 4)
            if rare(shift != 0):
                back_number(part + at + 8, shift)
                back_number(part + at + 10, shift)
        at += size
