# Which cipher back end this process uses.
from kernels.cipher.backend cimport Backend

# The selected one; NULL when none passed its self-test.
cdef const Backend *backend_selected() noexcept nogil

# By name, for Python callers; ValueError when it does not run here.
cdef const Backend *backend_named(str name) except NULL
