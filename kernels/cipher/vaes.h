/* The VAES kernels as kernels/cipher/vaes.pyx sees them. */
#ifndef SRTPGW_CIPHER_VAES_H
#define SRTPGW_CIPHER_VAES_H

#include <stdint.h>

#include "cipher/job.h"

enum { VAES_START = 11 };       /* of VaesSlot.cm.keys */
enum { VAES_STRIDE = 448 };     /* octets of a slot: seven lines, so that the slots of a batch spread over the cache's sets */

enum VaesKind {
    VAES_EMPTY = 0,
    VAES_NULL = 1,
    VAES_CM = 2,
    VAES_F8 = 3,
    VAES_GCM = 4
};

struct VaesSlot {               /* 64-aligned; the packet path reads 64 octets (NULL), 240 (CM-128), 304 (CM-256), 448 (GCM) */
    uint8_t kind;               /* VaesKind */
    uint8_t rounds;             /* of AES: 10, 12, 14 */
    uint8_t padding[14];
    union {
        struct {
            uint32_t inner[5];  /* SHA-1 states after key xor ipad and key xor opad */
            uint32_t outer[5];
            uint8_t padding[8];
            uint8_t keys[24][16];       /* round keys; from VAES_START on F8's of k_e xor m */
        } cm;
        struct {
            uint8_t keys[15][16];
            uint8_t powers[12][16];     /* H^12 .. H^1, reflected and multiplied by x */
        } gcm;
    };
};
_Static_assert(sizeof(struct VaesSlot) == VAES_STRIDE, "a slot is its stride");

enum { VAES_LANES = 16, VAES_ALONE = 5, VAES_WINDOW = 64, VAES_SHORT = 160 };

struct VaesGroup {              /* packets that are hashed together, one per lane */
    uint32_t count;
    struct Job *jobs[VAES_LANES];
    const struct VaesSlot *slots[VAES_LANES];
    uint32_t full[VAES_LANES];          /* blocks of 64 octets that lie wholly in the packet */
    uint32_t total[VAES_LANES];         /* blocks with the padding */
    uint32_t bits[VAES_LANES];          /* length as SHA-1 counts it */
    uint8_t tails[VAES_LANES][128];     /* what follows the whole blocks: rest, extra, padding */
    uint32_t digests[VAES_LANES][8] __attribute__((aligned(64)));     /* five words count, octets in wire order */
};

int vaes_usable(void);
int vaes_prepare(struct VaesSlot *slot, const struct SessionKeys *keys);

/* Any number of jobs; each gets its drop. slots: base of the slots, 64-aligned. */
void vaes_seal(struct VaesSlot *slots, uint32_t count_slots, struct Job **jobs, uint32_t count);
void vaes_open(struct VaesSlot *slots, uint32_t count_slots, struct Job **jobs, uint32_t count);

/* Parts, each a file. */
void vaes_ctr(const uint8_t (*keys)[16], uint32_t rounds, const uint8_t iv[16], uint8_t *data, uint32_t octets);
void vaes_f8(const struct VaesSlot *slot, const uint8_t iv[16], uint8_t *data, uint32_t octets);
void vaes_gcm_pair(const struct VaesSlot *const slots[2], struct Job *const jobs[2], int seals);
void vaes_gcm_seal(const struct VaesSlot *slot, struct Job *job);
void vaes_gcm_open(const struct VaesSlot *slot, struct Job *job);
void vaes_sha1_lanes(struct VaesGroup *group);
void vaes_sha1_alone(const struct VaesSlot *slot, const struct Job *job, uint32_t digest[8]);
void vaes_group_add(struct VaesGroup *group, struct Job *job, const struct VaesSlot *slot);

#endif
