# Known answers that a back end must reproduce before it may carry traffic.
from kernels.cipher.backend cimport Backend

cdef bint selftest_passes(const Backend *backend) noexcept nogil
