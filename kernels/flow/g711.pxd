# G.711 from one law to the other, an octet for an octet: same clock, same packet times, nothing to wait for.
from libc.stdint cimport uint8_t, uint32_t

cdef void g711_to_alaw(uint8_t *octets, uint32_t n) noexcept nogil
cdef void g711_to_ulaw(uint8_t *octets, uint32_t n) noexcept nogil
