# A crypto on its way from one engine to another: master keys, counts, and the index state of every SSRC; in a form of
# its own, so that the tables may be laid out as they like. Contains keys: whoever holds it wipes it.
from libc.stdint cimport int32_t, uint8_t, uint32_t

from kernels.srtp.tables cimport Engine

# Copy a crypto to `out`, at most `room` octets; it stays as it is. The octets, 8-aligned; -ENOENT: not installed or not
# complete; -E2BIG: does not fit.
cdef int32_t crypto_export(const Engine *engine, uint32_t crypto, uint8_t *out, uint32_t room) noexcept nogil
# Whatever the slot held is wiped; then it continues with the next index. 0; -ENOSPC, -EIO: nothing is left in the slot;
# -EINVAL: no crypto.
cdef int crypto_import(Engine *engine, uint32_t crypto, const uint8_t *data, uint32_t octets) noexcept nogil
