# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Self-benchmark of a back end, for the choice at start: 20-ms G.711 in batches of 64 over 512 senders and receivers,
sealed and opened, half AES_CM_128_HMAC_SHA1_80 and half AEAD_AES_128_GCM. The best of some rounds counts, so that a
disturbance does not decide."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from kernels.cipher.drill cimport DRILL_JOBS, Drill, drill_job, drill_keys
from kernels.clib.datagrams cimport CLOCK_MONOTONIC, clock_ns
from kernels.srtp.context cimport CIPHER_AES_CM, CIPHER_AES_GCM
from kernels.wire.packet cimport DROP_NONE

cdef enum:
    CONTEXTS = 512
    PAYLOAD = 160
    ROUNDS = 8


cdef double bench_ns(const Backend *backend) noexcept nogil:
    cdef double counter = suite_ns(backend, CIPHER_AES_CM, 10)
    cdef double gcm = suite_ns(backend, CIPHER_AES_GCM, 16)
    return -1 if counter < 0 or gcm < 0 else (counter + gcm) / 2

cdef double suite_ns(const Backend *backend, uint8_t cipher, uint8_t tag) noexcept nogil:
    cdef Drill *drill = <Drill *>calloc(1, sizeof(Drill))
    cdef void *state = backend.create(2 * CONTEXTS)
    cdef double best = -1, ns
    cdef uint32_t i, _round
    if drill != NULL and state != NULL and set_up(drill, backend, state, cipher, tag):
        for _round in range(ROUNDS):
            ns = round_ns(drill, backend, state)
            best = ns if best < 0 or ns < best else best
        for i in range(DRILL_JOBS):
            if drill.jobs[i].drop != DROP_NONE:
                best = -1
    backend.destroy(state)
    free(drill)
    return best

cdef bint set_up(Drill *drill, const Backend *backend, void *state, uint8_t cipher, uint8_t tag) noexcept nogil:
    """Slot 2n seals, slot 2n + 1 opens; one key for all, which no back end can make use of."""
    cdef uint32_t n
    drill_keys(&drill.keys[0], cipher, 16, 1)
    for n in range(2 * CONTEXTS):
        if backend.prepare(state, n, &drill.keys[0], n % 2 == 0) != 0:
            return False
    for n in range(DRILL_JOBS):
        drill_job(drill, n, &drill.keys[0], PAYLOAD, tag)
    return True

cdef double round_ns(Drill *drill, const Backend *backend, void *state) noexcept nogil:
    """All contexts once; opening gives back what the next sealing takes."""
    cdef uint64_t begin = clock_ns(CLOCK_MONOTONIC)
    cdef uint32_t first, n
    for first in range(CONTEXTS // DRILL_JOBS):
        for n in range(DRILL_JOBS):
            drill.jobs[n].slot = 2 * (first * DRILL_JOBS + n)
        backend.seal(state, drill.order, DRILL_JOBS)
        for n in range(DRILL_JOBS):
            drill.jobs[n].slot += 1
        backend.open(state, drill.order, DRILL_JOBS)
    return (clock_ns(CLOCK_MONOTONIC) - begin) / <double>(2 * CONTEXTS)
