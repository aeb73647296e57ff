# The cipher axis: what every back end offers. Selected once at start (kernels.cipher.select); no other file knows
# which one runs.
from libc.stdint cimport uint32_t

from kernels.cipher.job cimport Job, SessionKeys

cdef struct Backend:
    const char *name
    # Process-local state for `slots` sets of session keys; NULL when memory is short.
    void *(*create)(uint32_t slots) noexcept nogil
    void (*destroy)(void *state) noexcept nogil
    # Expand session keys into slot (again: replaces). 0 or negative errno. The only call that may allocate.
    int (*prepare)(void *state, uint32_t slot, const SessionKeys *keys, bint seal) noexcept nogil
    # Wipe what prepare made; an empty slot is no error.
    void (*forget)(void *state, uint32_t slot) noexcept nogil
    # In place; each job gets its own .drop. Jobs are independent of each other and may be done in any order.
    void (*seal)(void *state, Job **jobs, uint32_t count) noexcept nogil
    # Verify, then decrypt. A job that does not verify keeps its octets exactly as they were (it may be tried again).
    void (*open)(void *state, Job **jobs, uint32_t count) noexcept nogil
    # Where seal and open read for Job.slot: base address and octets per slot, so that the engine can fetch a job's
    # lines ahead. NULL (stride 0): nothing worth fetching. Slots are 64-aligned.
    const void *(*slot_memory)(void *state, uint32_t *stride) noexcept nogil
