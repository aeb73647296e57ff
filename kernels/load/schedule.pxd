# What is due next: a binary heap in memory of the caller, no allocation.
from libc.stdint cimport uint32_t, uint64_t

cdef struct Event:
    uint64_t due                    # ns, CLOCK_MONOTONIC
    uint32_t item

cdef inline void schedule_sink(Event *heap, uint32_t count, uint32_t place) noexcept nogil:
    """Let the event at `place` sink to where it belongs, after its due time grew."""
    cdef Event moved = heap[place]
    cdef uint32_t child
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1].due < heap[child].due:
            child += 1
        if moved.due <= heap[child].due:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = moved

cdef inline void schedule_order(Event *heap, uint32_t count) noexcept nogil:
    cdef uint32_t place = count // 2
    while place > 0:
        place -= 1
        schedule_sink(heap, count, place)
