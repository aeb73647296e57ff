# A batch of jobs over made-up keys: what the batch test and the self-benchmark feed the back ends with.
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from kernels.cipher.hmac cimport hmac_prepare
from kernels.cipher.job cimport Job, SessionKeys
from kernels.srtp.context cimport AUTH_HMAC_SHA1, AUTH_NONE, CIPHER_AES_CM, CIPHER_AES_GCM

cdef enum:
    DRILL_JOBS = 64
    DRILL_ROOM = 384            # header, body and tag of one packet
    DRILL_HEADER = 12

cdef struct Drill:
    SessionKeys keys[DRILL_JOBS]
    Job jobs[DRILL_JOBS]
    Job *order[DRILL_JOBS]
    uint8_t data[DRILL_JOBS][DRILL_ROOM]

cdef inline void drill_keys(SessionKeys *keys, uint8_t cipher, uint8_t key_octets, uint8_t seed) noexcept nogil:
    cdef uint8_t secret[20]
    cdef uint32_t i
    memset(keys, 0, sizeof(SessionKeys))
    keys.cipher, keys.key_octets = cipher, key_octets
    keys.auth = AUTH_NONE if cipher == CIPHER_AES_GCM else AUTH_HMAC_SHA1
    keys.salt_octets = 12 if cipher == CIPHER_AES_GCM else 14
    for i in range(key_octets):
        keys.cipher_key[i] = <uint8_t>(seed * 31 + i * 7 + 1)
    for i in range(keys.salt_octets):
        keys.salt[i] = <uint8_t>(seed * 17 + i * 5 + 3)
    for i in range(20):
        secret[i] = <uint8_t>(seed * 13 + i * 3 + 2)
    hmac_prepare(keys, secret, 20)
    keys.ready = 1

cdef inline void drill_job(Drill *drill, uint32_t at, const SessionKeys *keys, uint32_t body,
                           uint8_t tag) noexcept nogil:
    """Packet `at` with a body of so many octets; its tag follows, its ROC is 7. The caller says which slot."""
    cdef Job *job = &drill.jobs[at]
    cdef bint gcm = keys.cipher == CIPHER_AES_GCM
    cdef uint32_t i
    memset(job, 0, sizeof(Job))
    for i in range(DRILL_ROOM):
        drill.data[at][i] = <uint8_t>(at * 3 + i)
    for i in range(12 if gcm else 14 if keys.cipher == CIPHER_AES_CM else 16):
        job.iv[i] = <uint8_t>(at * 11 + i * 29 + 5)
    job.keys, job.data, job.tag = keys, drill.data[at], drill.data[at] + DRILL_HEADER + body
    job.clear, job.body, job.tag_octets = DRILL_HEADER, body, tag
    job.extra_octets = 0 if gcm else 4
    job.extra[3] = 0 if gcm else 7
    drill.order[at] = job
