from libc.stdint cimport uint8_t, uint64_t

cdef class Mapping:
    cdef uint8_t *base
    cdef readonly uint64_t octets
