# The table of a back end's slots: key material, so never in a core file, and in large pages when it fills any.
from kernels.clib.memory cimport (
    MADV_DONTDUMP, MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
)

cdef enum:
    PAGE = 4096
    LARGE_PAGE = 2 * 1024 * 1024

cdef inline size_t slots_octets(size_t wanted) noexcept nogil:
    """What is mapped for so many octets."""
    cdef size_t unit = LARGE_PAGE if wanted >= LARGE_PAGE else PAGE
    return (wanted + unit - 1) & ~(unit - 1)

cdef inline void *slots_map(size_t octets) noexcept nogil:
    """Zeroed memory of slots_octets(); NULL when there is none. Pages take room once they are touched."""
    cdef void *memory = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if memory == MAP_FAILED:
        return NULL
    madvise(memory, octets, MADV_DONTDUMP)
    if octets >= LARGE_PAGE:
        madvise(memory, octets, MADV_HUGEPAGE)
    return memory
