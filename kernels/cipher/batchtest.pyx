# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Power-on test of a back end's batches: 64 packets of every cipher, key length, tag length and of many lengths in one
call, beside a reference whose single answers are known. Sealed, then opened with every fifth forged."""
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from kernels.cipher.drill cimport DRILL_HEADER, DRILL_JOBS, Drill, drill_job, drill_keys
from kernels.cipher.job cimport Job
from kernels.srtp.context cimport CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_NONE

cdef enum:
    SUITES = 7
    FORGED = 5

cdef uint8_t CIPHER[SUITES]
cdef uint8_t KEY_OCTETS[SUITES]
cdef uint8_t LONG_TAG[SUITES]
cdef uint8_t SHORT_TAG[SUITES]
CIPHER[:] = [CIPHER_AES_CM, CIPHER_AES_GCM, CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_CM, CIPHER_AES_GCM, CIPHER_NULL]
KEY_OCTETS[:] = [16, 16, 24, 16, 32, 32, 16]
LONG_TAG[:] = [10, 16, 10, 10, 10, 16, 20]
SHORT_TAG[:] = [4, 8, 4, 4, 4, 8, 0]


cdef bint batch_agrees(const Backend *backend, const Backend *reference) noexcept nogil:
    cdef Drill *ours = <Drill *>calloc(1, sizeof(Drill))
    cdef Drill *theirs = <Drill *>calloc(1, sizeof(Drill))
    cdef void *state = backend.create(2 * DRILL_JOBS)
    cdef void *other = reference.create(2 * DRILL_JOBS)
    cdef bint agrees = False
    if ours != NULL and theirs != NULL and state != NULL and other != NULL:
        agrees = lay_out(ours, backend, state) and lay_out(theirs, reference, other)
        agrees = agrees and sealed_alike(ours, backend, state, theirs, reference, other)
        agrees = agrees and opened_alike(ours, backend, state, theirs, reference, other)
    backend.destroy(state)
    reference.destroy(other)
    free(ours)
    free(theirs)
    return agrees

cdef bint lay_out(Drill *drill, const Backend *backend, void *state) noexcept nogil:
    """Slot n seals packet n, slot DRILL_JOBS + n opens it."""
    cdef uint32_t n, suite
    for n in range(DRILL_JOBS):
        suite = n % SUITES
        drill_keys(&drill.keys[n], CIPHER[suite], KEY_OCTETS[suite], <uint8_t>n)
        drill_job(drill, n, &drill.keys[n], (n // 2 * 37) % 330,
                  SHORT_TAG[suite] if n % 3 == 0 else LONG_TAG[suite])
        if backend.prepare(state, n, &drill.keys[n], True) != 0:
            return False
        if backend.prepare(state, DRILL_JOBS + n, &drill.keys[n], False) != 0:
            return False
    return True

cdef bint sealed_alike(Drill *ours, const Backend *backend, void *state, Drill *theirs, const Backend *reference,
                       void *other) noexcept nogil:
    cdef uint32_t n
    for n in range(DRILL_JOBS):
        ours.jobs[n].slot = theirs.jobs[n].slot = n
    backend.seal(state, ours.order, DRILL_JOBS)
    reference.seal(other, theirs.order, DRILL_JOBS)
    for n in range(DRILL_JOBS):
        if ours.jobs[n].drop != DROP_NONE or theirs.jobs[n].drop != DROP_NONE:
            return False
    return memcmp(ours.data, theirs.data, sizeof(ours.data)) == 0

cdef inline bint forged(const Job *job, uint32_t n) noexcept nogil:
    return n % FORGED == 0 and job.tag_octets

cdef bint opened_alike(Drill *ours, const Backend *backend, void *state, Drill *theirs, const Backend *reference,
                       void *other) noexcept nogil:
    """A forgery differs in one bit of its header, body or tag."""
    cdef uint32_t n, octet, verdict
    for n in range(DRILL_JOBS):
        ours.jobs[n].slot = theirs.jobs[n].slot = DRILL_JOBS + n
        if forged(&ours.jobs[n], n):
            octet = (n * 23) % (DRILL_HEADER + ours.jobs[n].body + ours.jobs[n].tag_octets)
            ours.data[n][octet] ^= 1
            theirs.data[n][octet] ^= 1
    backend.open(state, ours.order, DRILL_JOBS)
    reference.open(other, theirs.order, DRILL_JOBS)
    for n in range(DRILL_JOBS):
        verdict = DROP_AUTH_FAIL if forged(&ours.jobs[n], n) else DROP_NONE
        if ours.jobs[n].drop != verdict or theirs.jobs[n].drop != verdict:
            return False
    return memcmp(ours.data, theirs.data, sizeof(ours.data)) == 0
