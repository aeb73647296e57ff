/* AES-GCM (NIST SP 800-38D, RFC 7714) for one packet.

   A packet is a row of 16-octet blocks: the last block of the AAD, the body, the lengths. Block i is multiplied by the
   power of H that belongs to its distance from the end; the counter of block i is J0 + i. So the first counter, whose
   keystream masks the tag, falls to the AAD's block, and cipher and hash go through the same vectors: four blocks are a
   chunk, three chunks a group with one reduction. G.711 at 20 ms is exactly one group. */
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
    while (__builtin_expect(octets - from > 16 && octets > 16, 0)) {
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

/* Which octets of a chunk are body. */
VAES_INLINE uint64_t part_of(const struct Text *text, uint32_t chunk)
{
    if (chunk == 0)
        return low_bits(text->body) << 16;
    uint32_t from = 64 * chunk - 16;
    return text->body > from ? low_bits(text->body - from) : 0;
}

VAES_INLINE void keystream(const struct Text *text, const uint32_t rounds, uint32_t group, x512 stream[3])
{
    const x128 *key = (const x128 *)text->slot->gcm.keys;
    const x512 four = _mm512_maskz_set1_epi32(0x8888, 4 << 24);
    x512 k = round_key(&key[0]);
    x512 a = _mm512_add_epi32(text->counter, _mm512_maskz_set1_epi32(0x8888, (int)(GROUP * group) << 24));
    x512 b = _mm512_add_epi32(a, four), c = _mm512_add_epi32(b, four);
    a = _mm512_xor_si512(a, k);
    b = _mm512_xor_si512(b, k);
    c = _mm512_xor_si512(c, k);
#pragma GCC unroll 14
    for (uint32_t i = 1; i < rounds; i++) {
        k = round_key(&key[i]);
        a = _mm512_aesenc_epi128(a, k);
        b = _mm512_aesenc_epi128(b, k);
        c = _mm512_aesenc_epi128(c, k);
    }
    k = round_key(&key[rounds]);
    stream[0] = _mm512_aesenclast_epi128(a, k);
    stream[1] = _mm512_aesenclast_epi128(b, k);
    stream[2] = _mm512_aesenclast_epi128(c, k);
}

/* Hash one group of ciphertext (octets that are not body are zero) on top of `hash`, which for the first group holds the
   AAD's block. */
VAES_INLINE x128 hash_group(const struct Text *text, uint32_t group, const x512 cipher[3], x128 hash)
{
    const uint32_t blocks = text->blocks - GROUP * group > GROUP ? GROUP : text->blocks - GROUP * group;
    const uint32_t last = text->blocks - 1 - GROUP * group;             /* lengths: in this group if below 12 */
    struct Product sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    x512 x = _mm512_xor_si512(reflect(cipher[0]), _mm512_zextsi128_si512(hash));
    x = _mm512_mask_mov_epi64(x, (__mmask8)(last < 4 ? 3u << 2 * last : 0), text->lengths);
    if (__builtin_expect(last == 0, 0))                                 /* they stand alone: the hash so far is xored */
        x = _mm512_xor_si512(x, _mm512_zextsi128_si512(hash));
    multiply_add(&sum, x, powers(text->slot, blocks));
    if (blocks > 4) {
        x = _mm512_mask_mov_epi64(reflect(cipher[1]), (__mmask8)(last - 4 < 4 ? 3u << 2 * (last - 4) : 0), text->lengths);
        multiply_add(&sum, x, powers(text->slot, blocks - 4));
    }
    if (blocks > 8) {
        x = _mm512_mask_mov_epi64(reflect(cipher[2]), (__mmask8)(last - 8 < 4 ? 3u << 2 * (last - 8) : 0), text->lengths);
        multiply_add(&sum, x, powers(text->slot, blocks - 8));
    }
    return reduce(&sum);
}

VAES_INLINE void load_group(const struct Text *text, uint32_t group, x512 cipher[3])
{
    for (uint32_t i = 0; i < 3; i++)
        cipher[i] = load_part(part_of(text, 3 * group + i), text->row + 64 * (3 * group + i));
}

VAES_INLINE void store_group(const struct Text *text, uint32_t group, const x512 cipher[3])
{
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t part = part_of(text, 3 * group + i);
        if (part)
            store_part(text->row + 64 * (3 * group + i), part, cipher[i]);
    }
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

VAES_INLINE void seal(const struct VaesSlot *slot, struct Job *job, const uint32_t rounds)
{
    struct Text text;
    x512 stream[3], cipher[3];
    lay_out(&text, slot, job);
    x128 hash = absorb_aad(slot, job), mask = _mm_setzero_si128();
    for (uint32_t group = 0; GROUP * group < text.blocks; group++) {
        keystream(&text, rounds, group, stream);
        load_group(&text, group, cipher);
        if (group == 0)
            mask = _mm512_castsi512_si128(stream[0]);
        for (uint32_t i = 0; i < 3; i++)
            cipher[i] = _mm512_maskz_mov_epi8(part_of(&text, 3 * group + i), _mm512_xor_si512(cipher[i], stream[i]));
        store_group(&text, group, cipher);
        hash = hash_group(&text, group, cipher, hash);
    }
    const __mmask16 octets = (__mmask16)low_bits(job->tag_octets);
    _mm_mask_storeu_epi8(job->tag, octets, _mm_xor_si128(mask, reflect_block(hash)));
}

/* In constant time: all octets are compared, whatever they are. */
VAES_INLINE int genuine(const struct Job *job, x128 mask, x128 hash)
{
    const __mmask16 octets = (__mmask16)low_bits(job->tag_octets);
    x128 wrong = _mm_xor_si128(_mm_xor_si128(mask, reflect_block(hash)), _mm_maskz_loadu_epi8(octets, job->tag));
    return _mm_mask_test_epi8_mask(octets, wrong, wrong) == 0;
}

VAES_INLINE void release(const struct Text *text, uint32_t group, x512 stream[3], const x512 cipher[3])
{
    for (uint32_t i = 0; i < 3; i++)
        stream[i] = _mm512_xor_si512(stream[i], cipher[i]);
    store_group(text, group, stream);
}

/* Nothing is written before the tag verifies. A packet of one group is read once; a longer one is hashed, then read
   again. */
VAES_INLINE void open_(const struct VaesSlot *slot, struct Job *job, const uint32_t rounds)
{
    struct Text text;
    x512 stream[3], cipher[3];
    lay_out(&text, slot, job);
    x128 hash = absorb_aad(slot, job), mask;
    keystream(&text, rounds, 0, stream);
    mask = _mm512_castsi512_si128(stream[0]);
    for (uint32_t group = 0; GROUP * group < text.blocks; group++) {
        load_group(&text, group, cipher);
        hash = hash_group(&text, group, cipher, hash);
    }
    if (!genuine(job, mask, hash)) {
        job->drop = JOB_FORGED;
        return;
    }
    if (text.blocks > GROUP)
        load_group(&text, 0, cipher);
    release(&text, 0, stream, cipher);
    for (uint32_t group = 1; GROUP * group < text.blocks; group++) {
        keystream(&text, rounds, group, stream);
        load_group(&text, group, cipher);
        release(&text, group, stream, cipher);
    }
}

VAES_INLINE int possible(struct Job *job)
{
    job->drop = job->body > MOST_BODY ? JOB_TOO_LONG : job->tag_octets == 0 || job->tag_octets > 16 ? JOB_FAILED : JOB_DONE;
    return job->drop == JOB_DONE;
}

VAES void vaes_gcm_seal(const struct VaesSlot *slot, struct Job *job)
{
    if (!possible(job))
        return;
    if (slot->rounds == 10)
        seal(slot, job, 10);
    else
        seal(slot, job, 14);
}

VAES void vaes_gcm_open(const struct VaesSlot *slot, struct Job *job)
{
    if (!possible(job))
        return;
    if (slot->rounds == 10)
        open_(slot, job, 10);
    else
        open_(slot, job, 14);
}
