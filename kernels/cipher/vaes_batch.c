/* From the jobs of a burst to kernels, whatever their call.

   1. each job by the kind of its slot: GCM at once, the others when they are sorted
   2. sorted by SHA-1 blocks, so that lanes of a group end together; unauthenticated ones come first (0 blocks)
   3. seal: encrypt a group, hash it, write tags; open: hash, compare, decrypt what is genuine
   Lines of the next job's slot are fetched while one is worked on. A group of few lanes goes packet by packet. */
#include <string.h>

#include "cipher/vaes.h"

enum { MOST_BLOCKS = 64 };      /* longer ones share the last place of the sorting */

struct Window {                 /* jobs with HMAC-SHA1 or no tag, in order of their SHA-1 blocks */
    uint32_t count;
    uint8_t blocks[VAES_WINDOW];
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
    return blocks < MOST_BLOCKS ? (uint32_t)blocks : MOST_BLOCKS - 1;
}

static void crypt(const struct VaesSlot *slot, struct Job *job)
{
    if (slot->kind == VAES_CM)
        vaes_ctr(slot->cm.keys, slot->rounds, job->iv, job->data + job->clear, job->body);
    else if (slot->kind == VAES_F8)
        vaes_f8(slot, job->iv, job->data + job->clear, job->body);
}

/* Counting sort by blocks, stable. */
static void sort(struct Window *to, const struct Window *from)
{
    uint8_t place[MOST_BLOCKS + 1] = {0};
    for (uint32_t i = 0; i < from->count; i++)
        place[from->blocks[i] + 1]++;
    for (uint32_t i = 0; i < MOST_BLOCKS; i++)
        place[i + 1] = (uint8_t)(place[i + 1] + place[i]);
    for (uint32_t i = 0; i < from->count; i++) {
        uint32_t at = place[from->blocks[i]]++;
        to->blocks[at] = from->blocks[i];
        to->jobs[at] = from->jobs[i];
        to->slots[at] = from->slots[i];
    }
    to->count = from->count;
}

/* How many from `first` on go together: at most 16, none more than a quarter longer than the first. */
static uint32_t lanes_from(const struct Window *window, uint32_t first)
{
    uint32_t most = window->blocks[first] + window->blocks[first] / 4u, n = 1;
    while (n < VAES_LANES && first + n < window->count && window->blocks[first + n] <= most)
        n++;
    return window->blocks[first] == MOST_BLOCKS - 1 ? 1 : n;
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

static void together(const struct Window *window, uint32_t first, uint32_t count, const int seals)
{
    struct VaesGroup group;
    group.count = 0;
    for (uint32_t i = first; i < first + count; i++) {
        const uint32_t ahead = i + VAES_LANES < window->count ? i + VAES_LANES : i;
        fetch(window->slots[ahead], 1);
        fetch(window->slots[ahead], 2);
        if (seals)
            crypt(window->slots[i], window->jobs[i]);
        fetch(window->slots[ahead], 3);
        fetch(window->slots[ahead], 4);
        vaes_group_add(&group, window->jobs[i], window->slots[i]);
    }
    vaes_sha1_lanes(&group);
    for (uint32_t lane = 0; lane < count; lane++) {
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
    struct Window sorted;
    uint32_t first = 0, count;
    sort(&sorted, window);
    for (; first < sorted.count; first += count) {
        count = lanes_from(&sorted, first);
        if (count > VAES_ALONE && sorted.blocks[first]) {
            together(&sorted, first, count, seals);
            continue;
        }
        for (uint32_t i = first; i < first + count; i++)
            alone(sorted.slots[i], sorted.jobs[i], seals);
    }
}

static void batch(struct VaesSlot *slots, uint32_t many, struct Job **jobs, uint32_t count, const int seals)
{
    struct Window window;
    window.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct Job *job = jobs[i];
        const struct VaesSlot *slot = &slots[job->slot];
        job->drop = JOB_DONE;
        fetch(&slots[jobs[i + 8 < count ? i + 8 : i]->slot], 0);
        if (job->slot >= many || slot->kind == VAES_EMPTY || (slot->kind != VAES_GCM && job->tag_octets > 20)) {
            job->drop = JOB_FAILED;
        } else if (slot->kind == VAES_GCM) {
            const struct VaesSlot *next = &slots[jobs[i + 2 < count ? i + 2 : i]->slot];
            for (uint32_t line = 0; line < VAES_STRIDE / 64; line++)
                fetch(next, line);
            if (seals)
                vaes_gcm_seal(slot, job);
            else
                vaes_gcm_open(slot, job);
        } else {
            window.blocks[window.count] = (uint8_t)sha1_blocks(job);
            window.jobs[window.count] = job;
            window.slots[window.count++] = slot;
        }
    }
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
