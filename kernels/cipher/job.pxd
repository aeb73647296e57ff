# What the engine hands to a cipher back end: one packet, its session keys and its IV. No SRTP rules in here.
# The layout, and what each field means, is in job.h, which the C kernels of the back ends read as well.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from kernels.wire.packet cimport Packet

cdef extern from "cipher/job.h" nogil:
    cdef struct SessionKeys:
        uint8_t cipher
        uint8_t auth
        uint8_t key_octets
        uint8_t salt_octets
        uint8_t ready
        uint32_t inner[5]
        uint32_t outer[5]
        uint8_t salt[16]
        uint8_t cipher_key[32]
        uint64_t epoch

    cdef struct Job:
        uint8_t iv[16]
        uint8_t *data
        uint8_t *tag
        const SessionKeys *keys
        uint32_t slot
        uint32_t clear
        uint32_t body
        uint8_t extra[4]
        uint8_t tag_octets
        uint8_t extra_octets
        uint16_t drop
        uint8_t rtcp
        uint8_t wrong_flag
        uint16_t length
        Packet *packet
        uint64_t index
        uint32_t crypto
        uint32_t key
        uint32_t stream
        uint32_t ssrc
