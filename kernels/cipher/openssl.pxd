# The back end for any CPU: libcrypto's AES (AES-NI, ARMv8 CE) and SHA-1 (SHA-NI), one packet at a time.
from kernels.cipher.backend cimport Backend

cdef const Backend *openssl_backend() noexcept nogil
