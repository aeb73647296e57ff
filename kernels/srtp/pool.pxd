# Taking and giving back key and stream slots. A slot belongs to whom its `owner` says (crypto + 1); chains and free
# lists can always be rebuilt from that, so a death between two stores leaks nothing and frees nothing twice.
from libc.stdint cimport uint32_t, uint64_t

from kernels.srtp.context cimport MasterKey
from kernels.srtp.tables cimport Crypto, Engine, KeySlot

cdef enum:
    SILENT_S = 60               # a receive stream silent for so long may make room for a new SSRC

# NO_SLOT: pool empty, or libcrypto failed.
cdef uint32_t key_add(Engine *engine, uint32_t crypto, const MasterKey *key) noexcept nogil
cdef bint key_same(const Engine *engine, const Crypto *crypto, uint32_t slot, const MasterKey *key) noexcept nogil
# Session keys anew, as the crypto's parameters now say; False: libcrypto failed.
cdef bint key_refresh(Engine *engine, const Crypto *owner, uint32_t slot) noexcept nogil
cdef void key_limit(KeySlot *key, const MasterKey *master) noexcept nogil       # lifetimes; counts stay
cdef void key_drop(Engine *engine, uint32_t crypto, uint32_t slot) noexcept nogil
cdef void keys_release(Engine *engine, uint32_t crypto) noexcept nogil
# Derive the session keys of an epoch over the older set of the pair; its number, -1 when libcrypto failed.
cdef int set_derive(Engine *engine, const Crypto *crypto, uint32_t slot, bint rtcp, uint64_t epoch) noexcept nogil

# Open the lane (lane.pxd) of a crypto as far as its parameters and keys allow it; or close it, before they change.
cdef void lane_set(Engine *engine, uint32_t crypto) noexcept nogil
cdef void lane_clear(Engine *engine, uint32_t crypto) noexcept nogil

# NO_SLOT: limit of the crypto, or pool empty. now_ns: receipt of the packet that asks.
cdef uint32_t stream_add(Engine *engine, uint32_t crypto, uint32_t ssrc, uint64_t now_ns) noexcept nogil
cdef void streams_release(Engine *engine, uint32_t crypto) noexcept nogil
cdef void streams_rekey(Engine *engine, uint32_t crypto) noexcept nogil

# Rebuild chains and free lists from the owner fields and expand the session keys in the back end. 0 or negative errno.
cdef int pools_adopt(Engine *engine) noexcept nogil
