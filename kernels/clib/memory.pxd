# Memory of our own from the kernel, and alignment.
cdef extern from "sys/mman.h" nogil:
    enum:
        PROT_READ
        PROT_WRITE
        MAP_PRIVATE
        MAP_ANONYMOUS
        MADV_HUGEPAGE
        MADV_DONTDUMP
    void *MAP_FAILED
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset) noexcept
    int munmap(void *address, size_t length) noexcept
    int madvise(void *address, size_t length, int advice) noexcept
