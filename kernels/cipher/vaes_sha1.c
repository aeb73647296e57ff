/* HMAC-SHA1 of sixteen packets at a time, one per 32-bit lane, from saved inner and outer states (RFC 2104 section 4).
   Packets of a group may differ in length: a lane that is done keeps its state while the others go on. */
#include <string.h>

#include "cipher/vaes.h"
#include "cipher/vaes_simd.h"

#define XOR3 0x96
#define CHOOSE 0xCA
#define MAJORITY 0xE8

VAES_INLINE void transpose4(x512 *a, x512 *b, x512 *c, x512 *d)
{
    x512 ab_low = _mm512_unpacklo_epi32(*a, *b), ab_high = _mm512_unpackhi_epi32(*a, *b);
    x512 cd_low = _mm512_unpacklo_epi32(*c, *d), cd_high = _mm512_unpackhi_epi32(*c, *d);
    *a = _mm512_unpacklo_epi64(ab_low, cd_low);
    *b = _mm512_unpackhi_epi64(ab_low, cd_low);
    *c = _mm512_unpacklo_epi64(ab_high, cd_high);
    *d = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/* Second half of the way from rows to columns: after transpose4 of each four rows, words i, 4 + i, 8 + i, 12 + i. */
VAES_INLINE void gather(const x512 from[16], x512 to[16], int i)
{
    x512 low = _mm512_shuffle_i32x4(from[i], from[4 + i], 0x44), high = _mm512_shuffle_i32x4(from[i], from[4 + i], 0xEE);
    x512 low2 = _mm512_shuffle_i32x4(from[8 + i], from[12 + i], 0x44);
    x512 high2 = _mm512_shuffle_i32x4(from[8 + i], from[12 + i], 0xEE);
    to[i] = _mm512_shuffle_i32x4(low, low2, 0x88);
    to[4 + i] = _mm512_shuffle_i32x4(low, low2, 0xDD);
    to[8 + i] = _mm512_shuffle_i32x4(high, high2, 0x88);
    to[12 + i] = _mm512_shuffle_i32x4(high, high2, 0xDD);
}

/* The message words of one block of every lane. They are turned from rows to columns in eight pieces, which go between
   the rounds of the block before: shuffles have a port of their own that the rounds leave idle. */
struct Feed {
    const struct VaesGroup *group;
    uint32_t block;
    x512 half[16];
    x512 words[16];
};

VAES_INLINE const uint8_t *block_of(const struct VaesGroup *group, uint32_t lane, uint32_t block)
{
    uint32_t full = group->full[lane];
    if (block < full)
        return group->jobs[lane]->data + 64 * (uint64_t)block;
    return group->tails[lane] + (block == full ? 0 : 64);       /* a lane that is done reads some block of its own */
}

VAES_INLINE void feed(struct Feed *next, const int piece)
{
    if (piece >= 4) {
        gather(next->half, next->words, piece - 4);
        return;
    }
    x512 *row = &next->half[4 * piece];
    for (uint32_t i = 0; i < 4; i++)
        row[i] = swap_words(_mm512_loadu_si512(block_of(next->group, 4 * (uint32_t)piece + i, next->block)));
    transpose4(&row[0], &row[1], &row[2], &row[3]);
}

/* The barriers keep the order of the additions: what is known early first, a last. Left to itself gcc makes one long
   chain of them, a fifth slower. */
#define ROUND(t, f, k)                                                                                                 \
    do {                                                                                                               \
        x512 sum = _mm512_add_epi32(w[(t) & 15], k), turned = _mm512_rol_epi32(b, 30);                                 \
        __asm__("" : "+v"(sum));                                                                                       \
        sum = _mm512_add_epi32(sum, e);                                                                                \
        __asm__("" : "+v"(sum), "+v"(turned));                                                                         \
        sum = _mm512_add_epi32(sum, _mm512_ternarylogic_epi32(b, c, d, f));                                            \
        __asm__("" : "+v"(sum));                                                                                       \
        e = d;                                                                                                         \
        d = c;                                                                                                         \
        c = turned;                                                                                                    \
        b = a;                                                                                                         \
        a = _mm512_add_epi32(sum, _mm512_rol_epi32(a, 5));                                                             \
    } while (0)

#define SCHEDULE(t)                                                                                                    \
    w[(t) & 15] = _mm512_rol_epi32(                                                                                    \
        _mm512_ternarylogic_epi32(_mm512_xor_si512(w[(t) & 15], w[((t) + 13) & 15]), w[((t) + 8) & 15],                \
                                  w[((t) + 2) & 15], XOR3), 1)

#define TWENTY(first, from, f, k)                                                                                      \
    _Pragma("GCC unroll 20") for (int t = first; t < first + 20; t++)                                                  \
    {                                                                                                                  \
        if (t >= from)                                                                                                 \
            SCHEDULE(t);                                                                                               \
        ROUND(t, f, k);                                                                                                \
        if (next && t % 8 == 4 && t / 8 < 8)                                                                                     \
            feed(next, t / 8);                                                                                          \
    }

/* One compression per lane (FIPS 180-4 section 6.1.2), added to the state of the lanes in `active`; meanwhile the next
   block is made ready. */
VAES_INLINE void compress(x512 state[5], x512 w[16], __mmask16 active, struct Feed *const next)
{
    x512 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    const x512 k0 = _mm512_set1_epi32(0x5A827999), k1 = _mm512_set1_epi32(0x6ED9EBA1);
    const x512 k2 = _mm512_set1_epi32((int)0x8F1BBCDC), k3 = _mm512_set1_epi32((int)0xCA62C1D6);
    TWENTY(0, 16, CHOOSE, k0)
    TWENTY(20, 16, XOR3, k1)
    TWENTY(40, 16, MAJORITY, k2)
    TWENTY(60, 16, XOR3, k3)
    state[0] = _mm512_mask_add_epi32(state[0], active, state[0], a);
    state[1] = _mm512_mask_add_epi32(state[1], active, state[1], b);
    state[2] = _mm512_mask_add_epi32(state[2], active, state[2], c);
    state[3] = _mm512_mask_add_epi32(state[3], active, state[3], d);
    state[4] = _mm512_mask_add_epi32(state[4], active, state[4], e);
}

VAES_INLINE void load_states(x512 inner[5], x512 outer[5], const struct VaesGroup *group)
{
    x512 w[16], turned[16];
    for (uint32_t lane = 0; lane < VAES_LANES; lane++)
        w[lane] = _mm512_load_si512(group->slots[lane]);        /* first line: kind, both states */
    for (int i = 0; i < 16; i += 4)
        transpose4(&w[i], &w[i + 1], &w[i + 2], &w[i + 3]);
    for (int i = 0; i < 4; i++)
        gather(w, turned, i);
    for (int i = 0; i < 5; i++) {
        inner[i] = turned[4 + i];
        outer[i] = turned[9 + i];
    }
}

VAES_INLINE void finish(x512 outer[5], const x512 inner[5])
{
    x512 w[16];
    for (int i = 0; i < 5; i++)
        w[i] = inner[i];
    w[5] = _mm512_set1_epi32((int)0x80000000);
    for (int i = 6; i < 15; i++)
        w[i] = _mm512_setzero_si512();
    w[15] = _mm512_set1_epi32(8 * (64 + 20));
    compress(outer, w, 0xFFFF, NULL);
}

VAES_INLINE void store_digests(struct VaesGroup *group, x512 state[5])
{
    uint32_t last[VAES_LANES] __attribute__((aligned(64)));
    for (int i = 0; i < 5; i++)
        state[i] = swap_words(state[i]);
    transpose4(&state[0], &state[1], &state[2], &state[3]);
    _mm512_store_si512(last, state[4]);
#define QUARTER(n)                                                                                                     \
    for (int i = 0; i < 4; i++)                                                                                        \
        _mm_store_si128((x128 *)group->digests[4 * n + i], _mm512_extracti32x4_epi32(state[i], n));
    QUARTER(0) QUARTER(1) QUARTER(2) QUARTER(3)
    for (int lane = 0; lane < VAES_LANES; lane++)
        group->digests[lane][4] = last[lane];
}

VAES void vaes_sha1_lanes(struct VaesGroup *group)
{
    struct Feed next;
    x512 w[16], inner[5], outer[5];
    uint32_t longest = 0;
    for (uint32_t lane = group->count; lane < VAES_LANES; lane++) {     /* idle lanes: no packet */
        group->jobs[lane] = group->jobs[0];
        group->slots[lane] = group->slots[0];
        group->full[lane] = 0;
        group->total[lane] = 0;
        memset(group->tails[lane], 0, sizeof group->tails[lane]);
    }
    for (uint32_t lane = 0; lane < group->count; lane++)
        longest = group->total[lane] > longest ? group->total[lane] : longest;
    const x512 total = _mm512_loadu_si512(group->total), bits = _mm512_loadu_si512(group->bits);
    load_states(inner, outer, group);
    next.group = group;
    next.block = 0;
    for (int piece = 0; piece < 8; piece++)
        feed(&next, piece);
    for (uint32_t block = 0; block < longest; block++) {
        next.block = block + 1;
        for (int i = 0; i < 16; i++)
            w[i] = next.words[i];
        w[15] = _mm512_mask_mov_epi32(w[15], _mm512_cmpeq_epi32_mask(total, _mm512_set1_epi32((int)block + 1)), bits);
        compress(inner, w, _mm512_cmpgt_epi32_mask(total, _mm512_set1_epi32((int)block)), &next);
    }
    finish(outer, inner);
    store_digests(group, outer);
}

/* Take a packet into the next lane: its length in blocks, and a copy of what does not fill one, padded. */
VAES void vaes_group_add(struct VaesGroup *group, struct Job *job, const struct VaesSlot *slot)
{
    uint32_t lane = group->count++, octets = job->clear + job->body, rest = octets & 63;
    uint8_t *tail = group->tails[lane];
    uint64_t end = 0x80;
    if (job->extra_octets) {
        uint32_t extra;
        memcpy(&extra, job->extra, 4);
        end = extra | (uint64_t)0x80 << 32;
    }
    group->jobs[lane] = job;
    group->slots[lane] = slot;
    group->full[lane] = octets >> 6;
    octets += job->extra_octets;
    group->total[lane] = (octets + 9 + 63) >> 6;
    group->bits[lane] = 8 * (64 + octets);
    _mm512_storeu_si512(tail, load_part(low_bits(rest), job->data + (octets - job->extra_octets - rest)));
    _mm512_storeu_si512(tail + 64, _mm512_setzero_si512());
    memcpy(tail + rest, &end, 8);                                       /* at most 8 octets past the first 64 */
}
