from kernels.cipher.backend cimport Backend

# Nanoseconds per packet on this CPU, now; negative: the back end could not do it. Takes a few ms.
cdef double bench_ns(const Backend *backend) noexcept nogil
