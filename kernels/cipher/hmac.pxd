# HMAC-SHA1 from saved inner and outer states (RFC 2104 section 4): two compressions fewer per packet, no key schedule.
# SRTP keeps the states among its session keys, STUN as an HmacKey: there the password itself never gets this far.
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.cipher.job cimport SessionKeys
from kernels.clib.openssl cimport OPENSSL_cleanse, SHA1_Final, SHA1_Init, SHA1_Transform, SHA1_Update, SHA_CTX

cdef enum:
    SHA1_DIGEST = 20
    SHA1_BLOCK = 64

cdef inline void hmac_absorb(uint32_t *state, const uint8_t *key, uint32_t octets, uint8_t pad) noexcept nogil:
    cdef SHA_CTX context
    cdef uint8_t block[64]
    cdef uint32_t i
    memset(block, pad, SHA1_BLOCK)
    for i in range(octets):
        block[i] ^= key[i]
    SHA1_Init(&context)
    SHA1_Transform(&context, block)
    state[0], state[1], state[2] = context.h0, context.h1, context.h2
    state[3], state[4] = context.h3, context.h4
    OPENSSL_cleanse(block, sizeof(block))
    OPENSSL_cleanse(&context, sizeof(context))

cdef inline void hmac_prepare(SessionKeys *keys, const uint8_t *key, uint32_t octets) noexcept nogil:
    """Save both states for an authentication key of at most 64 octets."""
    hmac_absorb(keys.inner, key, octets, 0x36)
    hmac_absorb(keys.outer, key, octets, 0x5C)

cdef inline void hmac_resume(SHA_CTX *context, const uint32_t *state) noexcept nogil:
    context.h0, context.h1, context.h2 = state[0], state[1], state[2]
    context.h3, context.h4 = state[3], state[4]
    context.Nl = 8 * SHA1_BLOCK
    context.Nh = 0
    context.num = 0

cdef struct HmacKey:
    uint32_t inner[5]
    uint32_t outer[5]

cdef inline void hmac_key(HmacKey *key, const uint8_t *secret, uint32_t octets) noexcept nogil:
    """Both states of a secret of any length: one longer than a block is hashed first (RFC 2104 section 2)."""
    cdef SHA_CTX context
    cdef uint8_t digest[20]
    if octets > SHA1_BLOCK:
        SHA1_Init(&context)
        SHA1_Update(&context, secret, octets)
        SHA1_Final(digest, &context)
        OPENSSL_cleanse(&context, sizeof(context))
        secret, octets = digest, SHA1_DIGEST
    hmac_absorb(key.inner, secret, octets, 0x36)
    hmac_absorb(key.outer, secret, octets, 0x5C)
    OPENSSL_cleanse(digest, sizeof(digest))

cdef inline void hmac_sign(const HmacKey *key, const uint8_t *data, uint32_t octets, uint8_t *digest) noexcept nogil:
    """digest[20] = HMAC-SHA1(data)."""
    cdef SHA_CTX context
    hmac_resume(&context, key.inner)
    SHA1_Update(&context, data, octets)
    SHA1_Final(digest, &context)
    hmac_resume(&context, key.outer)
    SHA1_Update(&context, digest, SHA1_DIGEST)
    SHA1_Final(digest, &context)

cdef inline void hmac_digest(const SessionKeys *keys, const uint8_t *data, uint32_t octets,
                             const uint8_t *extra, uint32_t extra_octets, uint8_t *digest) noexcept nogil:
    """digest[20] = HMAC-SHA1(data || extra)."""
    cdef SHA_CTX context
    hmac_resume(&context, keys.inner)
    SHA1_Update(&context, data, octets)
    SHA1_Update(&context, extra, extra_octets)
    SHA1_Final(digest, &context)
    hmac_resume(&context, keys.outer)
    SHA1_Update(&context, digest, SHA1_DIGEST)
    SHA1_Final(digest, &context)
