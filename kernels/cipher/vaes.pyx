# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Cipher back end over our own kernels: vaes.h says what they are.

A slot is 448 octets in one table, 64-aligned, in large pages when it fills any; everything a packet needs is in there,
so the packet path never looks at the session keys. SRTP order: encrypt then MAC; verify then decrypt.
"""
from cpython.pycapsule cimport PyCapsule_New
from libc.errno cimport EINVAL
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from kernels.cipher.backend cimport Backend
from kernels.cipher.job cimport Job, SessionKeys
from kernels.cipher.slots cimport slots_map, slots_unmap
from kernels.clib.openssl cimport OPENSSL_cleanse
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_CIPHER, DROP_TOO_LONG

cdef extern from "cipher/vaes.h" nogil:
    enum:
        VAES_STRIDE
        JOB_FORGED
        JOB_TOO_LONG
        JOB_FAILED
    cdef struct VaesSlot:
        uint8_t kind                # 0: empty
    int vaes_usable() noexcept
    int vaes_prepare(VaesSlot *slot, const SessionKeys *keys) noexcept
    void vaes_seal(VaesSlot *slots, uint32_t many, Job **jobs, uint32_t count) noexcept
    void vaes_open(VaesSlot *slots, uint32_t many, Job **jobs, uint32_t count) noexcept

cdef struct State:
    VaesSlot *slot
    uint32_t slots
    size_t mapped

cdef Backend BACKEND
BACKEND.name = "vaes"
BACKEND.create = &create
BACKEND.destroy = &destroy
BACKEND.prepare = &prepare
BACKEND.forget = &forget
BACKEND.seal = &seal
BACKEND.open = &open_
BACKEND.slot_memory = &slot_memory


def offer():
    """The back end as a capsule, or why it cannot run here."""
    if (<int>JOB_FORGED, <int>JOB_TOO_LONG, <int>JOB_FAILED) != (DROP_AUTH_FAIL, DROP_TOO_LONG, DROP_CIPHER):
        raise ImportError("job.h and Drop give the verdicts different numbers")
    if not vaes_usable():
        return "this CPU lacks AVX-512, VAES or VPCLMULQDQ"
    return PyCapsule_New(&BACKEND, NULL, NULL)


# --- the packet path ------------------------------------------------------------------------------------------

cdef void seal(void *state_, Job **jobs, uint32_t count) noexcept nogil:
    cdef State *state = <State *>state_
    vaes_seal(state.slot, state.slots, jobs, count)

cdef void open_(void *state_, Job **jobs, uint32_t count) noexcept nogil:
    cdef State *state = <State *>state_
    vaes_open(state.slot, state.slots, jobs, count)

cdef const void *slot_memory(void *state_, uint32_t *stride) noexcept nogil:
    cdef State *state = <State *>state_
    stride[0] = VAES_STRIDE
    return state.slot


# --- keys ------------------------------------------------------------------------------------------------------

cdef int prepare(void *state_, uint32_t index, const SessionKeys *keys, bint seals) noexcept nogil:
    cdef State *state = <State *>state_
    if index >= state.slots or vaes_prepare(&state.slot[index], keys) != 0:
        return -EINVAL
    return 0

cdef void forget(void *state_, uint32_t index) noexcept nogil:
    cdef State *state = <State *>state_
    if index < state.slots:
        OPENSSL_cleanse(&state.slot[index], VAES_STRIDE)


# --- process-local state ---------------------------------------------------------------------------------------

cdef void *create(uint32_t slots) noexcept nogil:
    cdef State *state = <State *>calloc(1, sizeof(State))
    if state == NULL:
        return NULL
    state.slots = slots
    state.mapped = <size_t>slots * VAES_STRIDE + 64   # the kernels read a vector past the last power of H
    state.slot = <VaesSlot *>slots_map(state.mapped)
    if state.slot == NULL:
        free(state)
        return NULL
    return state

cdef void destroy(void *state_) noexcept nogil:
    cdef State *state = <State *>state_
    cdef uint32_t i
    if state == NULL:
        return
    for i in range(state.slots):
        if state.slot[i].kind:                      # pages that were never used stay untouched
            OPENSSL_cleanse(&state.slot[i], VAES_STRIDE)
    slots_unmap(state.slot, state.mapped)
    free(state)
