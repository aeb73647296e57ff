# Memory in 2-MiB pages: at 10,000 calls a third of the packet path's cost is the TLB's without them. Three kinds, the
# best that the machine gives: reserved (hugetlbfs pool), transparent (khugepaged's, or collapsed at once), 4-KiB pages.
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

cdef extern from "<sys/mman.h>" nogil:
    """
    #include <sys/mman.h>
    #ifndef MAP_HUGETLB
    #define MAP_HUGETLB 0x40000
    #endif
    #ifndef MAP_HUGE_2MB
    #define MAP_HUGE_2MB (21 << 26)
    #endif
    #ifndef MADV_COLLAPSE
    #define MADV_COLLAPSE 25            /* Linux 6.1 */
    #endif
    """
    cdef enum:
        MADV_DONTDUMP
        MADV_HUGEPAGE
        MADV_COLLAPSE
        MAP_ANONYMOUS
        MAP_FIXED
        MAP_HUGETLB
        MAP_HUGE_2MB
        MAP_NORESERVE
        MAP_PRIVATE
        MAP_SHARED
        PROT_NONE
        PROT_READ
        PROT_WRITE
    void *MAP_FAILED
    void *mmap(void *address, size_t octets, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t octets)
    int madvise(void *address, size_t octets, int advice)

cdef enum:
    HUGE_PAGE = 2 << 20

cdef inline uint64_t huge_rounded(uint64_t octets) noexcept nogil:
    return (octets + HUGE_PAGE - 1) & ~<uint64_t>(HUGE_PAGE - 1)

cdef inline void *pages_reserve(uint64_t octets) noexcept nogil:
    """Address space that begins on a 2-MiB boundary (a page table entry of that size needs it), nothing behind it yet;
    `octets` a multiple of HUGE_PAGE. NULL when there is none."""
    cdef void *wide = mmap(NULL, octets + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    cdef uint64_t before, start
    if wide == MAP_FAILED:
        return NULL
    start = huge_rounded(<uintptr_t>wide)
    before = start - <uintptr_t>wide
    if before:
        munmap(wide, before)
    munmap(<void *><uintptr_t>(start + octets), HUGE_PAGE - before)
    return <void *><uintptr_t>start

cdef inline void *pages_new(uint64_t octets) noexcept nogil:
    """Zeroed private memory of at least `octets` octets, in the largest pages to be had; NULL when memory is short."""
    cdef uint64_t rounded = huge_rounded(octets)
    cdef void *memory = mmap(NULL, rounded, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0)
    cdef void *place
    if memory != MAP_FAILED:
        return memory
    place = pages_reserve(rounded)
    if place == NULL:
        return NULL
    memory = mmap(place, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
    if memory == MAP_FAILED:
        munmap(place, rounded)
        return NULL
    madvise(memory, rounded, MADV_HUGEPAGE)         # advice: where it is not taken, 4-KiB pages serve
    return memory

cdef inline void pages_free(void *memory, uint64_t octets) noexcept nogil:
    """What pages_new gave for `octets`; NULL is no error."""
    if memory != NULL:
        munmap(memory, huge_rounded(octets))
