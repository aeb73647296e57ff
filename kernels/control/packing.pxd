from kernels.control.records cimport Command

# Fill a ring record. ValueError, TypeError: the record is then to be wiped by the caller.
cdef int pack(Command *record, object command, object socket) except -1
