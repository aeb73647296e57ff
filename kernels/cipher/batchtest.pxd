from kernels.cipher.backend cimport Backend

# Whether a back end that passes its known answers also gives them in batches: the octets and verdicts of the reference.
cdef bint batch_agrees(const Backend *backend, const Backend *reference) noexcept nogil
