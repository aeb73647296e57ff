# What anybody may read of a crypto while its owner works on it: numbers, never keys.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.srtp.context cimport CryptoParameters, EngineSizes
from kernels.wire.packet cimport DROP_CRYPTO_COUNT

cdef enum:
    STATUS_STREAMS = 16             # SSRCs shown; more are only counted
    STATUS_KEYS = 16

cdef struct StreamStatus:
    uint32_t ssrc
    uint32_t roc                    # of the newest packet
    uint64_t rtp_newest             # 48-bit index; 0 with rtp_started 0: none yet
    uint32_t rtcp_newest            # 31-bit index
    uint8_t rtp_started
    uint8_t rtcp_started
    uint8_t reserved[2]
    uint64_t packets
    uint64_t last_ns

cdef struct KeyStatus:              # one master key, without itself
    uint8_t mki[128]                # CryptoParameters.mki_octets count
    uint8_t in_use                  # protects; when receiving: the one most used
    uint64_t rtp_packets            # secured or accepted under it
    uint64_t rtcp_packets
    uint64_t rtp_lifetime
    uint64_t rtcp_lifetime

cdef struct CryptoStatus:
    CryptoParameters parameters
    uint32_t state                  # CryptoState of tables.pxd
    uint32_t keys                   # master keys installed
    uint32_t streams                # SSRCs known
    uint64_t packets
    uint64_t octets
    uint64_t resyncs
    uint64_t drops[DROP_CRYPTO_COUNT]   # by Drop
    uint64_t rtp_packets            # under the key in use
    uint64_t rtcp_packets
    uint64_t rtp_lifetime
    uint64_t rtcp_lifetime
    uint8_t mki[128]                # of the key in use; parameters.mki_octets count
    StreamStatus stream[16]
    KeyStatus key[16]

# 0; -ENOENT: nothing installed; -EINVAL: slot out of range; -EAGAIN: the owner is changing it now.
cdef int crypto_status(const void *memory, const EngineSizes *sizes, uint32_t slot, CryptoStatus *out) noexcept nogil

# The same as a CryptoView (Python object).
cdef object view(const CryptoStatus *status)
