/* GHASH (NIST SP 800-38D section 6.4) over reflected blocks: four carry-less products an instruction, one reduction for
   a whole group of blocks. H is kept multiplied by x, so a product needs no shift. */
#ifndef SRTPGW_CIPHER_VAES_GHASH_H
#define SRTPGW_CIPHER_VAES_GHASH_H

#include "cipher/vaes_simd.h"

enum { POWERS = 12 };

struct Product { x512 low, middle, high; };     /* not reduced yet, one per 128-bit lane */

VAES_INLINE x512 xor3(x512 a, x512 b, x512 c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

VAES_INLINE void multiply_add(struct Product *sum, x512 x, x512 h)
{
    sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(x, h, 0x00));
    sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(x, h, 0x11));
    sum->middle = xor3(sum->middle, _mm512_clmulepi64_epi128(x, h, 0x01), _mm512_clmulepi64_epi128(x, h, 0x10));
}

/* Modulo x^128 + x^127 + x^126 + x^121 + 1 (the field polynomial, reflected), then the four lanes added up. */
VAES_INLINE x128 reduce(const struct Product *sum)
{
    const x512 field = _mm512_set1_epi64((long long)0xC200000000000000ull);
    x512 middle = xor3(sum->middle, _mm512_shuffle_epi32(sum->low, 0x4E),
                       _mm512_clmulepi64_epi128(sum->low, field, 0x00));
    x512 high = xor3(sum->high, _mm512_shuffle_epi32(middle, 0x4E), _mm512_clmulepi64_epi128(middle, field, 0x00));
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(high), _mm512_extracti64x4_epi64(high, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

VAES_INLINE x128 multiply_block(x128 x, x128 h)
{
    struct Product sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    multiply_add(&sum, _mm512_zextsi128_si512(x), _mm512_zextsi128_si512(h));
    return reduce(&sum);
}

VAES_INLINE x128 times_x(x128 h)
{
    x128 carries = _mm_srli_epi64(h, 63), field = _mm_set_epi64x((long long)0xC200000000000000ull, 1);
    x128 doubled = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carries, 8));
    x128 top = _mm_sub_epi64(_mm_setzero_si128(), _mm_unpackhi_epi64(carries, carries));    /* all ones when it falls out */
    return _mm_xor_si128(doubled, _mm_and_si128(top, field));
}

#endif
