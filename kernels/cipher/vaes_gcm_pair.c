/* AES-GCM for two packets of one group each (G.711 at 20 ms and whatever is shorter), side by side: the rounds and
   products of one fill the waits of the other. */
#include "cipher/vaes_gcm.h"

struct Pair {
    struct Text text[2];
    x128 hash[2];               /* AAD's block at first */
    uint64_t parts[2][3];       /* which octets of a chunk are body */
    x512 stream[2][3];
    x512 cipher[2][3];          /* octets that are not body are zero */
};

VAES_INLINE void begin(struct Pair *pair, const struct VaesSlot *const slots[2], struct Job *const jobs[2])
{
    const x512 place = _mm512_set_epi8(
        63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35,
        34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5,
        4, 3, 2, 1, 0);
    for (int p = 0; p < 2; p++) {
        lay_out(&pair->text[p], slots[p], jobs[p]);
        pair->hash[p] = absorb_aad(slots[p], jobs[p]);
        const x512 end = _mm512_set1_epi8((char)(jobs[p]->body + 16));
        pair->parts[p][0] = _mm512_cmplt_epu8_mask(place, end) & ~0xFFFFull;
        pair->parts[p][1] = _mm512_cmplt_epu8_mask(_mm512_add_epi8(place, _mm512_set1_epi8(64)), end);
        pair->parts[p][2] = _mm512_cmplt_epu8_mask(_mm512_add_epi8(place, _mm512_set1_epi8((char)128)), end);
    }
}

VAES_INLINE void keystreams(struct Pair *pair, const uint32_t rounds)
{
    const x128 *key[2] = {(const x128 *)pair->text[0].slot->gcm.keys, (const x128 *)pair->text[1].slot->gcm.keys};
    const x512 four = _mm512_maskz_set1_epi32(0x8888, 4 << 24);
    x512 x[2][3];
    for (int p = 0; p < 2; p++) {
        const x512 k = round_key(&key[p][0]);
        x512 counter = pair->text[p].counter;
        for (int i = 0; i < 3; i++, counter = _mm512_add_epi32(counter, four))
            x[p][i] = _mm512_xor_si512(counter, k);
    }
#pragma GCC unroll 14
    for (uint32_t r = 1; r < rounds; r++)
        for (int p = 0; p < 2; p++) {
            const x512 k = round_key(&key[p][r]);
            for (int i = 0; i < 3; i++)
                x[p][i] = _mm512_aesenc_epi128(x[p][i], k);
        }
    for (int p = 0; p < 2; p++) {
        const x512 k = round_key(&key[p][rounds]);
        for (int i = 0; i < 3; i++)
            pair->stream[p][i] = _mm512_aesenclast_epi128(x[p][i], k);
    }
}

VAES_INLINE void load(struct Pair *pair)
{
    for (int p = 0; p < 2; p++)
        for (int i = 0; i < 3; i++)
            pair->cipher[p][i] = load_part(pair->parts[p][i], pair->text[p].row + 64 * i);
}

VAES_INLINE void store(const struct Pair *pair, const int p, const x512 chunks[3])
{
    store_part(pair->text[p].row, pair->parts[p][0], chunks[0]);
    if (pair->parts[p][1])
        store_part(pair->text[p].row + 64, pair->parts[p][1], chunks[1]);
    if (pair->parts[p][2])
        store_part(pair->text[p].row + 128, pair->parts[p][2], chunks[2]);
}

VAES_INLINE void hash(struct Pair *pair, const int p)
{
    const struct Text *text = &pair->text[p];
    const uint32_t at = 3u << 2 * (text->blocks - 1);           /* the lengths' place, in 64-bit words */
    struct Product sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    x512 x = _mm512_xor_si512(reflect(pair->cipher[p][0]), _mm512_zextsi128_si512(pair->hash[p]));
    multiply_add(&sum, _mm512_mask_mov_epi64(x, (__mmask8)at, text->lengths), powers(text->slot, text->blocks));
    if (text->blocks > 4) {
        x = _mm512_mask_mov_epi64(reflect(pair->cipher[p][1]), (__mmask8)(at >> 8), text->lengths);
        multiply_add(&sum, x, powers(text->slot, text->blocks - 4));
    }
    if (text->blocks > 8) {
        x = _mm512_mask_mov_epi64(reflect(pair->cipher[p][2]), (__mmask8)(at >> 16), text->lengths);
        multiply_add(&sum, x, powers(text->slot, text->blocks - 8));
    }
    pair->hash[p] = reduce(&sum);
}

VAES_INLINE void seal(const struct VaesSlot *const slots[2], struct Job *const jobs[2], const uint32_t rounds)
{
    struct Pair pair;
    begin(&pair, slots, jobs);
    load(&pair);
    keystreams(&pair, rounds);
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < 3; i++)
            pair.cipher[p][i] = _mm512_maskz_mov_epi8(pair.parts[p][i],
                                                      _mm512_xor_si512(pair.cipher[p][i], pair.stream[p][i]));
        store(&pair, p, pair.cipher[p]);
    }
    for (int p = 0; p < 2; p++)
        hash(&pair, p);
    for (int p = 0; p < 2; p++)
        put_tag(jobs[p], _mm512_castsi512_si128(pair.stream[p][0]), pair.hash[p]);
}

VAES_INLINE void open_(const struct VaesSlot *const slots[2], struct Job *const jobs[2], const uint32_t rounds)
{
    struct Pair pair;
    begin(&pair, slots, jobs);
    load(&pair);
    keystreams(&pair, rounds);
    for (int p = 0; p < 2; p++)
        hash(&pair, p);
    for (int p = 0; p < 2; p++) {
        if (!genuine(jobs[p], _mm512_castsi512_si128(pair.stream[p][0]), pair.hash[p])) {
            jobs[p]->drop = JOB_FORGED;
            continue;
        }
        for (int i = 0; i < 3; i++)
            pair.cipher[p][i] = _mm512_xor_si512(pair.cipher[p][i], pair.stream[p][i]);
        store(&pair, p, pair.cipher[p]);
    }
}

/* Two possible jobs whose slots have the same number of rounds and whose bodies are at most VAES_SHORT octets. */
VAES void vaes_gcm_pair(const struct VaesSlot *const slots[2], struct Job *const jobs[2], int seals)
{
    if (slots[0]->rounds == 10 && seals)
        seal(slots, jobs, 10);
    else if (slots[0]->rounds == 10)
        open_(slots, jobs, 10);
    else if (seals)
        seal(slots, jobs, 14);
    else
        open_(slots, jobs, 14);
}
