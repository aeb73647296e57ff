/* AES in counter mode and f8 for one packet, four blocks an instruction. */
#include <string.h>

#include "cipher/vaes.h"
#include "cipher/vaes_simd.h"

enum { SEGMENT = 4096 };        /* octets for which the counter's last octet does not carry */

VAES_INLINE void xor_part(uint8_t *data, uint32_t octets, x512 stream)
{
    const uint64_t part = low_bits(octets);
    store_part(data, part, _mm512_xor_si512(stream, load_part(part, data)));
}

VAES_INLINE void xor_whole(uint8_t *data, x512 stream)
{
    _mm512_storeu_si512(data, _mm512_xor_si512(stream, _mm512_loadu_si512(data)));
}

/* 1 to 192 octets: three vectors side by side hide the latency of the rounds. */
VAES_INLINE void three(const uint8_t (*keys)[16], const uint32_t rounds, x512 counter, uint8_t *data, uint32_t octets)
{
    const x512 four = _mm512_maskz_set1_epi32(0x8888, 4 << 24);
    x512 key = round_key((const x128 *)keys[0]);
    x512 a = counter, b = _mm512_add_epi32(a, four), c = _mm512_add_epi32(b, four);
    a = _mm512_xor_si512(a, key);
    b = _mm512_xor_si512(b, key);
    c = _mm512_xor_si512(c, key);
#pragma GCC unroll 14
    for (uint32_t i = 1; i < rounds; i++) {
        key = round_key((const x128 *)keys[i]);
        a = _mm512_aesenc_epi128(a, key);
        b = _mm512_aesenc_epi128(b, key);
        c = _mm512_aesenc_epi128(c, key);
    }
    key = round_key((const x128 *)keys[rounds]);
    a = _mm512_aesenclast_epi128(a, key);
    b = _mm512_aesenclast_epi128(b, key);
    c = _mm512_aesenclast_epi128(c, key);
    if (octets > 128) {
        xor_whole(data, a);
        xor_whole(data + 64, b);
        xor_part(data + 128, octets - 128, c);
    } else if (octets > 64) {
        xor_whole(data, a);
        xor_part(data + 64, octets - 64, b);
    } else {
        xor_part(data, octets, a);
    }
}

/* Likewise 160 octets, 20 ms of G.711: ten blocks, the third vector is half a one. */
VAES_INLINE void ten(const uint8_t (*keys)[16], const uint32_t rounds, x512 counter, uint8_t *data)
{
    const x512 four = _mm512_maskz_set1_epi32(0x8888, 4 << 24);
    x512 key = round_key((const x128 *)keys[0]);
    x512 a = counter, b = _mm512_add_epi32(a, four);
    __m256i c = _mm512_castsi512_si256(_mm512_add_epi32(b, four));
    a = _mm512_xor_si512(a, key);
    b = _mm512_xor_si512(b, key);
    c = _mm256_xor_si256(c, _mm512_castsi512_si256(key));
#pragma GCC unroll 14
    for (uint32_t i = 1; i < rounds; i++) {
        key = round_key((const x128 *)keys[i]);
        a = _mm512_aesenc_epi128(a, key);
        b = _mm512_aesenc_epi128(b, key);
        c = _mm256_aesenc_epi128(c, _mm512_castsi512_si256(key));
    }
    key = round_key((const x128 *)keys[rounds]);
    xor_whole(data, _mm512_aesenclast_epi128(a, key));
    xor_whole(data + 64, _mm512_aesenclast_epi128(b, key));
    c = _mm256_aesenclast_epi128(c, _mm512_castsi512_si256(key));
    _mm256_storeu_si256((__m256i *)(data + 128), _mm256_xor_si256(c, _mm256_loadu_si256((const __m256i *)(data + 128))));
}

/* One packet, or the part of a very long one whose counter's last octet does not wrap. */
VAES_INLINE void segment(const uint8_t (*keys)[16], const uint32_t rounds, x128 iv, uint8_t *data, uint32_t octets)
{
    x512 counter = _mm512_add_epi32(_mm512_broadcast_i32x4(iv), _mm512_set_epi32(3 << 24, 0, 0, 0, 2 << 24, 0, 0, 0,
                                                                                 1 << 24, 0, 0, 0, 0, 0, 0, 0));
    if (octets == 160) {
        ten(keys, rounds, counter, data);
        return;
    }
    const x512 twelve = _mm512_maskz_set1_epi32(0x8888, 12 << 24);
    while (octets > 192) {
        three(keys, rounds, counter, data, 192);
        counter = _mm512_add_epi32(counter, twelve);
        data += 192;
        octets -= 192;
    }
    three(keys, rounds, counter, data, octets);
}

VAES_INLINE void ctr(const uint8_t (*keys)[16], const uint32_t rounds, const uint8_t iv[16], uint8_t *data, uint32_t octets)
{
    x128 counter = _mm_loadu_si128((const x128 *)iv);
    const x128 swap = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (; octets > SEGMENT; octets -= SEGMENT, data += SEGMENT) {
        segment(keys, rounds, counter, data, SEGMENT);
        counter = _mm_shuffle_epi8(_mm_add_epi64(_mm_shuffle_epi8(counter, swap), _mm_set_epi64x(0, SEGMENT / 16)), swap);
    }
    segment(keys, rounds, counter, data, octets);
}

/* Counter mode in place (RFC 3711 section 4.1.1). The last two octets of iv are zero. */
VAES void vaes_ctr(const uint8_t (*keys)[16], uint32_t rounds, const uint8_t iv[16], uint8_t *data, uint32_t octets)
{
    if (octets == 0)
        return;
    if (rounds == 10)
        ctr(keys, 10, iv, data, octets);
    else if (rounds == 12)
        ctr(keys, 12, iv, data, octets);
    else
        ctr(keys, 14, iv, data, octets);
}

VAES_INLINE x128 encrypt(const uint8_t (*keys)[16], x128 x)
{
    const x128 *key = (const x128 *)keys;
    x = _mm_xor_si128(x, key[0]);
#pragma GCC unroll 9
    for (int i = 1; i < 10; i++)
        x = _mm_aesenc_si128(x, key[i]);
    return _mm_aesenclast_si128(x, key[10]);
}

/* S(j) = E(k_e, IV' xor j xor S(j-1)) with IV' = E(k_e xor m, IV), RFC 3711 section 4.1.2.1. */
VAES void vaes_f8(const struct VaesSlot *slot, const uint8_t iv[16], uint8_t *data, uint32_t octets)
{
    const x128 start = encrypt(slot->cm.keys + VAES_START, _mm_loadu_si128((const x128 *)iv));
    const x128 swap = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    x128 stream = _mm_setzero_si128();
    for (uint32_t j = 0, done = 0; done < octets; j++, done += 16) {
        const __mmask16 part = (__mmask16)low_bits(octets - done < 16 ? octets - done : 16);
        const x128 number = _mm_shuffle_epi8(_mm_set_epi64x(0, j), swap);
        stream = encrypt(slot->cm.keys, _mm_xor_si128(_mm_xor_si128(start, number), stream));
        _mm_mask_storeu_epi8(data + done, part, _mm_xor_si128(stream, _mm_maskz_loadu_epi8(part, data + done)));
    }
}
