# cython: language_level=3
"""A memory file mapped where 2-MiB pages can serve it."""
import os

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.stdint cimport uintptr_t

from kernels.clib.pages cimport (
    MADV_COLLAPSE, MADV_HUGEPAGE, MAP_FAILED, MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE, huge_rounded, madvise, mmap,
    munmap, pages_reserve,
)


cdef class Mapping:
    """A memory file in this process; see mapping.pyi."""

    def __cinit__(self, int fd):
        cdef uint64_t octets = os.fstat(fd).st_size
        cdef void *place = pages_reserve(huge_rounded(octets))
        cdef void *memory
        if place == NULL:
            raise OSError(errno, os.strerror(errno))
        memory = mmap(place, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0)
        if memory == MAP_FAILED:
            error = errno
            munmap(place, huge_rounded(octets))
            raise OSError(error, os.strerror(error))
        self.base, self.octets = <uint8_t *>memory, octets
        madvise(self.base, octets, MADV_HUGEPAGE)       # before the first touch; pages of a pool refuse it, rightly

    def __dealloc__(self):
        if self.base != NULL:
            munmap(self.base, huge_rounded(self.octets))

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.base, self.octets, 0, flags)

    def __len__(self):
        return self.octets

    def __getitem__(self, key):
        view = memoryview(self)
        return bytes(view[key]) if isinstance(key, slice) else view[key]

    @property
    def address(self):
        return <uintptr_t>self.base

    def gather(self):
        """Ask for large pages now, where a pool does not give them anyway. Not to have them is no error."""
        madvise(self.base, self.octets, MADV_COLLAPSE)
