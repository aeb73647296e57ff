# SRTP of load endpoints: one engine for all of them, two cryptos each (2 * place sends, 2 * place + 1 receives).
from libc.stdint cimport uint16_t, uint32_t

from kernels.srtp.tables cimport Engine

cdef struct Keying:
    Engine engine
    void *memory                # NULL: nobody is secure

# Room for so many endpoints, once. MemoryError, OSError.
cdef keying_attach(Keying *keying, uint32_t endpoints)
# Install or replace the key of a crypto; flags as in CryptoParameters. ValueError, OSError.
cdef keying_install(Keying *keying, uint32_t slot, transform, key, uint16_t flags)
cdef void keying_free(Keying *keying) noexcept
