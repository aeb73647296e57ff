# Which numbers of a stream were heard: a ring of bits behind the newest one.
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

cdef enum Copy:
    COPY_FIRST = 0
    COPY_LATE = 1                   # first, behind a newer one
    COPY_AGAIN = 2                  # a duplicate
    COPY_ANCIENT = 3                # older than the ring: nobody can tell

cdef inline Copy window_note(uint64_t *bits, uint32_t size, uint64_t *highest, uint64_t number) noexcept nogil:
    """Record a number. `bits`: size / 64 words, size a power of two; `highest`: newest number + 1, 0: none yet."""
    cdef uint64_t gone, bit = <uint64_t>1 << (number & 63)
    cdef uint64_t *word = &bits[(number & (size - 1)) >> 6]
    if number >= highest[0]:
        if number - highest[0] >= size:
            memset(bits, 0, size >> 3)
        else:
            for gone in range(highest[0], number):
                bits[(gone & (size - 1)) >> 6] &= ~(<uint64_t>1 << (gone & 63))
        highest[0] = number + 1
        word[0] |= bit
        return COPY_FIRST
    if highest[0] - number > size:
        return COPY_ANCIENT
    if word[0] & bit:
        return COPY_AGAIN
    word[0] |= bit
    return COPY_LATE
