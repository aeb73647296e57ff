# Latency in logarithmic buckets: eight to the octave, so a percentile is within 12 % of the truth.
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    HISTOGRAM_SHIFT = 3             # log2 of the buckets of one octave
    HISTOGRAM_BUCKETS = 320         # up to 2^40 ns

cdef struct Histogram:
    uint64_t longest                # ns
    uint32_t bucket[320]

cdef extern from * nogil:
    """
    static inline int highest_bit_u64(unsigned long long v) { return 63 - __builtin_clzll(v | 1); }
    """
    int highest_bit_u64(uint64_t value) noexcept

cdef inline uint32_t histogram_bucket(uint64_t ns) noexcept nogil:
    cdef int octave = highest_bit_u64(ns)
    cdef uint32_t bucket
    if octave <= HISTOGRAM_SHIFT:
        return <uint32_t>ns
    bucket = <uint32_t>(((octave - HISTOGRAM_SHIFT) << HISTOGRAM_SHIFT) + (ns >> (octave - HISTOGRAM_SHIFT)))
    return bucket if bucket < HISTOGRAM_BUCKETS else HISTOGRAM_BUCKETS - 1

cdef inline uint64_t histogram_middle(uint32_t bucket) noexcept nogil:
    """The value in the middle of a bucket, ns: inverse of histogram_bucket."""
    cdef uint32_t octave = bucket >> HISTOGRAM_SHIFT
    cdef uint64_t step
    if bucket < 2 << HISTOGRAM_SHIFT:
        return bucket
    step = <uint64_t>1 << (octave - 1)
    return ((bucket & ((1 << HISTOGRAM_SHIFT) - 1)) + (1 << HISTOGRAM_SHIFT)) * step + step // 2

cdef inline void histogram_add(Histogram *histogram, uint64_t ns) noexcept nogil:
    histogram.bucket[histogram_bucket(ns)] += 1
    if ns > histogram.longest:
        histogram.longest = ns

cdef inline void histogram_merge(Histogram *total, const Histogram *part) noexcept nogil:
    cdef uint32_t n
    for n in range(HISTOGRAM_BUCKETS):
        total.bucket[n] += part.bucket[n]
    if part.longest > total.longest:
        total.longest = part.longest

cdef inline uint64_t histogram_percentile(const Histogram *histogram, uint32_t per_thousand) noexcept nogil:
    """The value that `per_thousand` of a thousand measurements do not exceed, ns; 0 without any."""
    cdef uint64_t total = 0, below = 0
    cdef uint32_t n
    for n in range(HISTOGRAM_BUCKETS):
        total += histogram.bucket[n]
    for n in range(HISTOGRAM_BUCKETS):
        below += histogram.bucket[n]
        if below and below * 1000 >= total * per_thousand:
            return min(histogram_middle(n), histogram.longest)
    return 0

cdef inline uint64_t histogram_above(const Histogram *histogram, uint64_t ns) noexcept nogil:
    """How many measurements exceed `ns`, as exactly as the buckets are."""
    cdef uint64_t above = 0
    cdef uint32_t n
    for n in range(histogram_bucket(ns) + 1, <uint32_t>HISTOGRAM_BUCKETS):
        above += histogram.bucket[n]
    return above
