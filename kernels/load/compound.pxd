# RTCP of a load stream: SR with one report block, and SDES whose CNAME proves that no octet was changed
# (RFC 3550 section 6):
#   0 SR: header, SSRC, sender info, report block, 52 octets | 52 SDES: header, SSRC, CNAME of 34 octets, end, 48 octets
# CNAME text: "L-", stream and number in 16 hexadecimal digits, 16 digits of a keyed check of all that stands before.
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from kernels.clib.datagrams cimport htonl, ntohl
from kernels.load.payload cimport keyed_check

cdef enum:
    COMPOUND = 100                  # octets
    COMPOUND_CHECKED = 80           # octets before the 16 digits of the check

cdef struct Report:                 # what a stream says of itself and of the one it hears
    uint32_t ssrc
    uint32_t stream
    uint32_t number
    uint64_t realtime_ns
    uint32_t timestamp
    uint32_t packets
    uint32_t octets
    uint32_t heard_ssrc
    uint32_t heard_highest          # extended sequence number

cdef inline void put_word(uint8_t *out, uint32_t value) noexcept nogil:
    value = htonl(value)
    memcpy(out, &value, 4)

cdef inline uint32_t get_word(const uint8_t *data) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, data, 4)
    return ntohl(value)

cdef inline void put_hex(uint8_t *out, uint64_t value) noexcept nogil:
    cdef uint32_t n
    cdef uint8_t digit
    for n in range(16):
        digit = <uint8_t>((value >> (60 - 4 * n)) & 15)
        out[n] = digit + (48 if digit < 10 else 87)

cdef inline uint32_t get_hex(const uint8_t *data) noexcept nogil:
    """Eight digits written by put_hex."""
    cdef uint32_t n, value = 0
    for n in range(8):
        value = value << 4 | (data[n] - (48 if data[n] < 97 else 87))
    return value

cdef inline void compound_write(uint8_t *out, uint64_t key, const Report *report) noexcept nogil:
    memset(out, 0, COMPOUND)
    put_word(out, <uint32_t>0x81C8000C)                          # V=2, one block, SR, 13 words
    put_word(out + 4, report.ssrc)
    put_word(out + 8, <uint32_t>(report.realtime_ns // 1000000000 + <uint64_t>2208988800))
    put_word(out + 12, <uint32_t>(((report.realtime_ns % 1000000000) << 32) // 1000000000))
    put_word(out + 16, report.timestamp)
    put_word(out + 20, report.packets)
    put_word(out + 24, report.octets)
    put_word(out + 28, report.heard_ssrc)
    put_word(out + 36, report.heard_highest)
    put_word(out + 52, <uint32_t>0x81CA000B)                     # V=2, one chunk, SDES, 12 words
    put_word(out + 56, report.ssrc)
    out[60], out[61] = 1, 34                                    # CNAME
    memcpy(out + 62, b"L-", 2)
    put_hex(out + 64, <uint64_t>report.stream << 32 | report.number)
    put_hex(out + COMPOUND_CHECKED, keyed_check(key, out, COMPOUND_CHECKED // 8))

cdef inline bint compound_read(const uint8_t *data, uint32_t length, uint64_t key, Report *report) noexcept nogil:
    """False when one octet is not what a sender with this key wrote."""
    cdef uint8_t check[16]
    if length != COMPOUND:
        return False
    put_hex(check, keyed_check(key, data, COMPOUND_CHECKED // 8))
    if memcmp(check, data + COMPOUND_CHECKED, 16) != 0:
        return False
    report.ssrc = get_word(data + 4)
    report.timestamp = get_word(data + 16)
    report.packets = get_word(data + 20)
    report.octets = get_word(data + 24)
    report.stream = get_hex(data + 64)
    report.number = get_hex(data + 72)
    return True
