/* AES-GCM (NIST SP 800-38D, RFC 7714): how a packet is laid out, for both ways of working on it.

   A packet is a row of 16-octet blocks: the last block of the AAD, the body, the lengths. Block i is multiplied by the
   power of H that belongs to its distance from the end; the counter of block i is J0 + i. So the first counter, whose
   keystream masks the tag, falls to the AAD's block, and cipher and hash go through the same vectors: four blocks are a
   chunk, three chunks a group with one reduction. G.711 at 20 ms is exactly one group. */
#ifndef SRTPGW_CIPHER_VAES_GCM_H
#define SRTPGW_CIPHER_VAES_GCM_H

#include <string.h>

#include "cipher/vaes.h"
#include "cipher/vaes_ghash.h"
#include "cipher/vaes_simd.h"

enum { GROUP = 12, MOST_BODY = 2240 };          /* FRAME; up to there the counter's last octet does not wrap */

struct Text {
    const struct VaesSlot *slot;
    uint8_t *row;               /* body - 16: where the AAD's block would lie */
    uint32_t body;
    uint32_t blocks;            /* of the row */
    x512 lengths;               /* the last block, reflected, in each lane */
    x512 counter;               /* of blocks 0..3 */
};

/* At most 64 octets of the AAD (clear || extra) from `from` on, zeros after `octets` of them. */
VAES_INLINE x512 aad_chunk(const struct Job *job, uint32_t from, uint32_t octets)
{
    const int64_t at = (int64_t)job->clear - from;          /* where extra begins */
    x512 chunk = load_part(low_bits(at <= 0 ? 0 : at < octets ? (uint64_t)at : octets), job->data + from);
    if (job->extra_octets && at > -4 && at < octets) {
        uint32_t extra, cut = at < 0 ? (uint32_t)-at : 0;
        memcpy(&extra, job->extra, 4);
        x512 rest = _mm512_castsi128_si512(_mm_cvtsi32_si128((int)(extra >> 8 * cut)));
        uint64_t place = (0xFull >> cut) << (at < 0 ? 0 : at) & low_bits(octets);
        chunk = _mm512_or_si512(chunk, _mm512_maskz_expand_epi8(place, rest));
    }
    return chunk;
}

VAES_INLINE x512 powers(const struct VaesSlot *slot, uint32_t distance)
{
    return _mm512_loadu_si512(slot->gcm.powers[POWERS - distance]);
}

/* The AAD up to its last block, which is returned xored with the hash of those before it, reflected. */
VAES_INLINE x128 absorb_aad(const struct VaesSlot *slot, const struct Job *job)
{
    const uint32_t octets = job->clear + job->extra_octets;
    uint32_t from = 0;
    x128 hash = _mm_setzero_si128();
    if (__builtin_expect(octets == job->clear && octets <= 16, 1))      /* an RTP header with at most one CSRC */
        return reflect_block(_mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0xFFFF, octets), job->data));
    while (octets - from > 16 && octets > 16) {
        uint32_t blocks = (octets - from + 15) / 16 - 1;
        if (blocks > 4)
            blocks = 4;
        struct Product sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
        x512 chunk = reflect(aad_chunk(job, from, 16 * blocks));
        multiply_add(&sum, _mm512_xor_si512(chunk, _mm512_zextsi128_si512(hash)), powers(slot, blocks));
        hash = reduce(&sum);
        from += 16 * blocks;
    }
    return _mm_xor_si128(hash, reflect_block(_mm512_castsi512_si128(aad_chunk(job, from, octets - from))));
}

VAES_INLINE void lay_out(struct Text *text, const struct VaesSlot *slot, const struct Job *job)
{
    const x128 first = _mm_insert_epi32(_mm_loadu_si128((const x128 *)job->iv), 1 << 24, 3);
    text->slot = slot;
    text->row = (uint8_t *)((uintptr_t)(job->data + job->clear) - 16);
    text->body = job->body;
    text->blocks = (job->body + 15) / 16 + 2;
    text->lengths = _mm512_broadcast_i64x2(_mm_set_epi64x(8 * ((long long)job->clear + job->extra_octets),
                                                          8 * (long long)job->body));
    text->counter = _mm512_add_epi32(_mm512_broadcast_i32x4(first), _mm512_set_epi32(3 << 24, 0, 0, 0, 2 << 24, 0, 0, 0,
                                                                                     1 << 24, 0, 0, 0, 0, 0, 0, 0));
}

VAES_INLINE void put_tag(struct Job *job, x128 mask, x128 hash)
{
    const x128 tag = _mm_xor_si128(mask, reflect_block(hash));
    if (job->tag_octets == 16)
        _mm_storeu_si128((x128 *)job->tag, tag);
    else
        _mm_mask_storeu_epi8(job->tag, (__mmask16)low_bits(job->tag_octets), tag);
}

/* In constant time: all octets are compared, whatever they are. */
VAES_INLINE int genuine(const struct Job *job, x128 mask, x128 hash)
{
    const __mmask16 octets = (__mmask16)low_bits(job->tag_octets);
    x128 wrong = _mm_xor_si128(_mm_xor_si128(mask, reflect_block(hash)), _mm_maskz_loadu_epi8(octets, job->tag));
    return _mm_mask_test_epi8_mask(octets, wrong, wrong) == 0;
}

VAES_INLINE int possible(struct Job *job)
{
    job->drop = job->body > MOST_BODY ? JOB_TOO_LONG : job->tag_octets == 0 || job->tag_octets > 16 ? JOB_FAILED : JOB_DONE;
    return job->drop == JOB_DONE;
}

#endif
