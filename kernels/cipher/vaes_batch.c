/* From the jobs of a burst to kernels, whatever their call.

   1. each job by the kind of its slot: GCM at once, the others wait for company
   2. up to sixteen of about the same number of SHA-1 blocks are a group, in order of arrival
   3. seal: encrypt a group, hash it, write tags; open: hash, compare, decrypt what is genuine
   Lines of the next job's slot are fetched while one is worked on. A group of few lanes goes packet by packet. */
#include <string.h>

#include "cipher/vaes.h"
#include "cipher/vaes_simd.h"

enum { MOST_BLOCKS = 255 };     /* longer ones count as that */

struct Window {                 /* jobs with HMAC-SHA1 or no tag, in order of arrival */
    uint32_t count;
    uint8_t blocks[VAES_WINDOW] __attribute__((aligned(64)));       /* of SHA-1; 0: no tag */
    struct Job *jobs[VAES_WINDOW];
    const struct VaesSlot *slots[VAES_WINDOW];
};

static inline void fetch(const struct VaesSlot *slot, uint32_t line)
{
    __builtin_prefetch((const uint8_t *)slot + 64 * line, 0, 3);
}

static inline uint32_t sha1_blocks(const struct Job *job)
{
    if (job->tag_octets == 0)
        return 0;
    uint64_t blocks = ((uint64_t)job->clear + job->body + job->extra_octets + 9 + 63) / 64;
    return blocks < MOST_BLOCKS ? (uint32_t)blocks : MOST_BLOCKS;
}

static void crypt(const struct VaesSlot *slot, struct Job *job)
{
    if (slot->kind == VAES_CM)
        vaes_ctr(slot->cm.keys, slot->rounds, job->iv, job->data + job->clear, job->body);
    else if (slot->kind == VAES_F8)
        vaes_f8(slot, job->iv, job->data + job->clear, job->body);
}

/* Those of `left` that may share lanes with the first of them: no more than a quarter longer or shorter. */
VAES static uint64_t company(const struct Window *window, uint64_t left)
{
    const uint32_t blocks = window->blocks[__builtin_ctzll(left)];
    const __m512i all = _mm512_load_si512(window->blocks);
    const uint32_t most = blocks + blocks / 4 < MOST_BLOCKS ? blocks + blocks / 4 : MOST_BLOCKS - 1;
    if (blocks == MOST_BLOCKS)
        return left & -left;
    return left & _mm512_cmple_epu8_mask(all, _mm512_set1_epi8((char)most))
         & _mm512_cmpge_epu8_mask(all, _mm512_set1_epi8((char)(blocks - blocks / 4)));
}

/* The lowest sixteen of them. */
VAES static uint64_t first_lanes(uint64_t members)
{
    return _pdep_u64(0xFFFF, members);
}

/* In constant time: all octets are compared, whatever they are. */
static int genuine(const struct Job *job, const uint32_t digest[8])
{
    const uint8_t *wanted = (const uint8_t *)digest;
    uint64_t wrong, here, there;
    if (job->tag_octets == 10) {
        uint16_t last, other;
        memcpy(&here, job->tag, 8);
        memcpy(&there, wanted, 8);
        memcpy(&last, job->tag + 8, 2);
        memcpy(&other, wanted + 8, 2);
        return ((here ^ there) | (uint64_t)(last ^ other)) == 0;
    }
    wrong = 0;
    for (uint32_t i = 0; i < job->tag_octets; i++)
        wrong |= (uint64_t)(job->tag[i] ^ wanted[i]);
    return wrong == 0;
}

static void put_tag(struct Job *job, const uint32_t digest[8])
{
    if (job->tag_octets == 10) {
        memcpy(job->tag, digest, 8);
        memcpy(job->tag + 8, digest + 2, 2);
    } else {
        memcpy(job->tag, digest, job->tag_octets);
    }
}

static void alone(const struct VaesSlot *slot, struct Job *job, const int seals)
{
    uint32_t digest[8];
    if (seals)
        crypt(slot, job);
    if (job->tag_octets) {
        vaes_sha1_alone(slot, job, digest);
        if (seals)
            put_tag(job, digest);
        else if (!genuine(job, digest)) {
            job->drop = JOB_FORGED;
            return;
        }
    }
    if (!seals)
        crypt(slot, job);
}

static void together(const struct Window *window, uint64_t members, const int seals)
{
    struct VaesGroup group;
    group.count = 0;
    for (; members; members &= members - 1) {
        const uint32_t i = (uint32_t)__builtin_ctzll(members);
        const struct VaesSlot *ahead = window->slots[i + VAES_LANES < window->count ? i + VAES_LANES : i];
        fetch(ahead, 1);
        fetch(ahead, 2);
        if (seals)
            crypt(window->slots[i], window->jobs[i]);
        fetch(ahead, 3);
        fetch(ahead, 4);
        vaes_group_add(&group, window->jobs[i], window->slots[i]);
    }
    vaes_sha1_lanes(&group);
    for (uint32_t lane = 0; lane < group.count; lane++) {
        struct Job *job = group.jobs[lane];
        if (seals)
            put_tag(job, group.digests[lane]);
        else if (genuine(job, group.digests[lane]))
            crypt(group.slots[lane], job);
        else
            job->drop = JOB_FORGED;
    }
}

static void work_off(const struct Window *window, const int seals)
{
    uint64_t left = window->count ? ~0ull >> (64 - window->count) : 0;
    while (left) {
        uint64_t members = first_lanes(company(window, left));
        left &= ~members;
        if (__builtin_popcountll(members) > VAES_ALONE && window->blocks[__builtin_ctzll(members)]) {
            together(window, members, seals);
            continue;
        }
        for (; members; members &= members - 1) {
            const uint32_t i = (uint32_t)__builtin_ctzll(members);
            alone(window->slots[i], window->jobs[i], seals);
        }
    }
}

struct Waiting {                /* GCM packets of one group that wait for another of as many rounds */
    uint32_t count;
    const struct VaesSlot *slots[2];
    struct Job *jobs[2];
};

static void gcm_alone(const struct VaesSlot *slot, struct Job *job, const int seals)
{
    if (seals)
        vaes_gcm_seal(slot, job);
    else
        vaes_gcm_open(slot, job);
}

static void gcm(struct Waiting *waiting, const struct VaesSlot *slot, struct Job *job, const int seals)
{
    if (job->body > VAES_SHORT || job->tag_octets == 0 || job->tag_octets > 16) {
        gcm_alone(slot, job, seals);
        return;
    }
    if (waiting->count && waiting->slots[0]->rounds != slot->rounds) {
        gcm_alone(waiting->slots[0], waiting->jobs[0], seals);
        waiting->count = 0;
    }
    waiting->slots[waiting->count] = slot;
    waiting->jobs[waiting->count++] = job;
    if (waiting->count == 2) {
        vaes_gcm_pair(waiting->slots, waiting->jobs, seals);
        waiting->count = 0;
    }
}

static void batch(struct VaesSlot *slots, uint32_t many, struct Job **jobs, uint32_t count, const int seals)
{
    struct Window window;
    struct Waiting waiting;
    window.count = waiting.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct Job *job = jobs[i];
        const struct VaesSlot *slot = &slots[job->slot];
        job->drop = JOB_DONE;
        fetch(&slots[jobs[i + 8 < count ? i + 8 : i]->slot], 0);
        if (job->slot >= many || slot->kind == VAES_EMPTY || (slot->kind != VAES_GCM && job->tag_octets > 20)) {
            job->drop = JOB_FAILED;
        } else if (slot->kind == VAES_GCM) {
            const struct VaesSlot *next = &slots[jobs[i + 3 < count ? i + 3 : i]->slot];
            for (uint32_t line = 0; line < VAES_STRIDE / 64; line++)
                fetch(next, line);
            gcm(&waiting, slot, job, seals);
        } else {
            window.blocks[window.count] = (uint8_t)sha1_blocks(job);
            window.jobs[window.count] = job;
            window.slots[window.count++] = slot;
        }
    }
    if (waiting.count)
        gcm_alone(waiting.slots[0], waiting.jobs[0], seals);
    work_off(&window, seals);
}

void vaes_seal(struct VaesSlot *slots, uint32_t many, struct Job **jobs, uint32_t count)
{
    for (; count > VAES_WINDOW; jobs += VAES_WINDOW, count -= VAES_WINDOW)
        batch(slots, many, jobs, VAES_WINDOW, 1);
    batch(slots, many, jobs, count, 1);
}

void vaes_open(struct VaesSlot *slots, uint32_t many, struct Job **jobs, uint32_t count)
{
    for (; count > VAES_WINDOW; jobs += VAES_WINDOW, count -= VAES_WINDOW)
        batch(slots, many, jobs, VAES_WINDOW, 0);
    batch(slots, many, jobs, count, 0);
}
