/* AES-GCM for one packet of any length. */
#include "cipher/vaes_gcm.h"

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
    x512 a = _mm512_add_epi32(text->counter, _mm512_maskz_set1_epi32(0x8888, (int)((uint32_t)(GROUP * group) << 24)));
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
    put_tag(job, mask, hash);
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
