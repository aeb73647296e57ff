/* Vector shorthand of the VAES kernels. Every function that uses it carries VAES: the file compiles on any x86-64 and
   the functions run only where vaes_usable() says so. */
#ifndef SRTPGW_CIPHER_VAES_SIMD_H
#define SRTPGW_CIPHER_VAES_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define VAES __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,vaes,vpclmulqdq,aes,pclmul," \
                                   "bmi2,sse4.1")))
#define VAES_INLINE static inline __attribute__((always_inline)) VAES

typedef __m128i x128;
typedef __m512i x512;

/* The low `octets` bits set; all 64 from 64 on. */
VAES_INLINE uint64_t low_bits(uint64_t octets)
{
    return octets >= 64 ? ~0ull : _bzhi_u64(~0ull, (uint32_t)octets);
}

/* Masked-out octets are neither read nor written, so the address may lie before or behind the packet. */
VAES_INLINE x512 load_part(uint64_t mask, const uint8_t *from)
{
    return _mm512_maskz_loadu_epi8(mask, from);
}

VAES_INLINE void store_part(uint8_t *to, uint64_t mask, x512 value)
{
    _mm512_mask_storeu_epi8(to, mask, value);
}

VAES_INLINE x512 round_key(const x128 *key)
{
    return _mm512_broadcast_i32x4(_mm_load_si128(key));
}

/* Octets of each 128-bit block in reverse: GHASH works on the reflected block. */
VAES_INLINE x512 reflect(x512 blocks)
{
    return _mm512_shuffle_epi8(blocks, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
                                                                           14, 15)));
}

VAES_INLINE x128 reflect_block(x128 block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/* Octets of each 32-bit word in reverse. */
VAES_INLINE x512 swap_words(x512 words)
{
    return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0,
                                                                          1, 2, 3)));
}

#endif
