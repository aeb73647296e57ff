# Session keys from master key and salt (RFC 3711 section 4.3, RFC 6188 section 3, RFC 7714 section 11).
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from kernels.cipher.job cimport SessionKeys
from kernels.clib.openssl cimport EVP_CIPHER, EVP_CIPHER_CTX
from kernels.srtp.context cimport CryptoParameters

cdef enum:                      # <label> of RTP; RTCP adds LABEL_RTCP
    LABEL_CIPHER = 0
    LABEL_AUTH = 1
    LABEL_SALT = 2
    LABEL_RTCP = 3
    AUTH_KEY = 20               # n_a of HMAC-SHA1, octets
    DERIVE_ONCE = 255           # CryptoParameters.kdr_log2: rate 0

cdef struct Deriver:            # the AES-CM PRF, prepared once a process
    EVP_CIPHER *ciphers[3]      # 16, 24, 32 octets of key
    EVP_CIPHER_CTX *context

cdef Deriver *deriver_new() noexcept nogil                  # NULL: no memory, or libcrypto has no AES-CTR
cdef void deriver_free(Deriver *deriver) noexcept nogil

# All session keys of one protocol and epoch (r = index DIV rate). False when libcrypto fails; then out.ready is 0.
cdef bint derive(Deriver *deriver, const CryptoParameters *parameters, const uint8_t *key, const uint8_t *salt,
                 bint rtcp, uint64_t epoch, SessionKeys *out) noexcept nogil

# n octets of one label.
cdef bint derive_label(Deriver *deriver, const uint8_t *key, uint32_t key_octets, const uint8_t *salt,
                       uint8_t label, uint64_t epoch, uint8_t *out, uint32_t octets) noexcept nogil
