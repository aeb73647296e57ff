# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A-law and mu-law (ITU-T G.711) into each other: two tables of 256 octets, made at import by decoding to the uniform
16-bit scale and encoding from it, as G.191's alaw_expand, ulaw_compress and their opposites do. (The tables 3 and 4 of
G.711 itself also level the 0.03 dB between both laws: a few codes are one step apart from these.)
"""
from libc.stdint cimport int32_t, uint8_t, uint32_t

cdef uint8_t alaw_of[256]       # by mu-law code
cdef uint8_t ulaw_of[256]       # by A-law code

cdef enum:
    EVEN_BITS = 0x55            # A-law inverts them
    SIGN = 0x80                 # set: positive
    BIAS = 33                   # mu-law's, on the 14-bit scale
    MOST = 0x1FFF


cdef void g711_to_alaw(uint8_t *octets, uint32_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        octets[i] = alaw_of[octets[i]]


cdef void g711_to_ulaw(uint8_t *octets, uint32_t n) noexcept nogil:
    cdef uint32_t i
    for i in range(n):
        octets[i] = ulaw_of[octets[i]]


cdef int32_t alaw_decoded(uint8_t code) noexcept:
    """16 bits, in the middle of the step."""
    cdef uint8_t plain = code ^ EVEN_BITS
    cdef int32_t segment = plain >> 4 & 7, step = plain & 15
    cdef int32_t value = (2 * step + 1) << 3 if segment == 0 else (2 * step + BIAS) << (segment + 2)
    return value if plain & SIGN else -value


cdef int32_t ulaw_decoded(uint8_t code) noexcept:
    cdef uint8_t plain = ~code
    cdef int32_t value = (((2 * (plain & 15) + BIAS) << (plain >> 4 & 7)) - BIAS) << 2
    return -value if plain & SIGN else value


cdef uint8_t alaw_encoded(int32_t value) noexcept:
    cdef int32_t steps = (~value if value < 0 else value) >> 4      # of the first two segments
    cdef int32_t segment = 1
    if steps > 15:
        while steps > 31:
            steps >>= 1
            segment += 1
        steps += (segment - 1) << 4
    return <uint8_t>((steps | (0 if value < 0 else SIGN)) ^ EVEN_BITS)


cdef uint8_t ulaw_encoded(int32_t value) noexcept:
    cdef int32_t steps = min(((~value if value < 0 else value) >> 2) + BIAS, MOST)
    cdef int32_t segment = 0
    while steps >> (segment + 6):
        segment += 1
    return <uint8_t>(~(segment << 4 | (steps >> (segment + 1) & 15) | (SIGN if value < 0 else 0)))


def converted(bytes octets, str law):
    """`octets` of the other law as "pcma" or "pcmu" (ValueError: neither)."""
    cdef bytearray copy = bytearray(octets)
    cdef uint8_t *data = copy
    if law == "pcma":
        g711_to_alaw(data, <uint32_t>len(copy))
    elif law == "pcmu":
        g711_to_ulaw(data, <uint32_t>len(copy))
    else:
        raise ValueError(f"{law} is not a law of G.711")
    return bytes(copy)


cdef void make_tables() noexcept:
    cdef uint32_t code
    for code in range(256):
        alaw_of[code] = alaw_encoded(ulaw_decoded(<uint8_t>code))
        ulaw_of[code] = ulaw_encoded(alaw_decoded(<uint8_t>code))


make_tables()
