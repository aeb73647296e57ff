# The table of a back end's slots: key material, so never in a core file, and in large pages when it fills any.
from kernels.clib.pages cimport (
    HUGE_PAGE, MADV_DONTDUMP, MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap, munmap,
    pages_free, pages_new,
)

cdef inline void *slots_map(size_t octets) noexcept nogil:
    """Zeroed memory; NULL when there is none. Pages take room once they are touched."""
    cdef void *memory
    if octets >= HUGE_PAGE:
        memory = pages_new(octets)
    else:
        memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        memory = NULL if memory == MAP_FAILED else memory
    if memory != NULL:
        madvise(memory, octets, MADV_DONTDUMP)
    return memory

cdef inline void slots_unmap(void *memory, size_t octets) noexcept nogil:
    """What slots_map gave for `octets`."""
    if octets >= HUGE_PAGE:
        pages_free(memory, octets)
    else:
        munmap(memory, octets)
