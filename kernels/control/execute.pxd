from kernels.control.records cimport Command
from kernels.flow.pipeline cimport Path

# 0, or a positive errno. Idempotent: a worker that died half-way through is followed by one that does it again.
cdef int command_execute(Path *path, const Command *command) noexcept nogil
