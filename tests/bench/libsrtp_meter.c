/* libsrtp's cost per packet: whole protect and unprotect, in place, as a gateway calls it. Compiled at bench time against
 * the libsrtp that is to be measured. The same course as kernels/load/meter.pyx: passes of 1,024 packets in as many
 * frames, contexts in one pseudo-random order, median over the passes.
 *
 * Arguments: suite, contexts. Prints "ready" when they are made, then for each line "payload packets" on standard input
 * one line "protect unprotect", ns per packet. Exit status 3: the library has no such suite; 4: a packet failed. */
#include <srtp2/srtp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PASS = 1024, FRAME = 2240, HEADROOM = 64, MOST_PASSES = 65536, WARM = 3 /* as kernels/load/meter.pyx */ };
static unsigned char frames[PASS][FRAME] __attribute__((aligned(64)));
static int lengths[PASS];
static double sealed[MOST_PASSES], opened[MOST_PASSES];
static uint64_t number;

static const struct {
    const char *name;
    void (*set)(srtp_crypto_policy_t *);
} suites[] = {
    {"cm128_80", srtp_crypto_policy_set_rtp_default},
    {"cm128_32", srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32},
    {"cm192_80", srtp_crypto_policy_set_aes_cm_192_hmac_sha1_80},
    {"cm192_32", srtp_crypto_policy_set_aes_cm_192_hmac_sha1_32},
    {"cm256_80", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
    {"cm256_32", srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32},
    {"gcm128", srtp_crypto_policy_set_aes_gcm_128_16_auth},
    {"gcm256", srtp_crypto_policy_set_aes_gcm_256_16_auth},
    {"null_80", srtp_crypto_policy_set_null_cipher_hmac_sha1_80},
};

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint32_t *shuffled(uint32_t count) { /* Fisher and Yates, numbers from xorshift64: kernels/load/meter.pyx */
    uint32_t *order = calloc(count, sizeof *order);
    uint64_t state = 1;
    for (uint32_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t j = (uint32_t)((state >> 33) % (i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    return order;
}

static srtp_t context(size_t suite, uint32_t place, srtp_ssrc_type_t direction) {
    unsigned char key[64] = {place >> 24, place >> 16, place >> 8, place};
    srtp_policy_t policy;
    srtp_t made = NULL;
    memset(&policy, 0, sizeof policy);
    suites[suite].set(&policy.rtp);
    suites[suite].set(&policy.rtcp);
    policy.key = key;
    policy.window_size = 128;
    policy.ssrc.type = direction;
    return srtp_create(&made, &policy) ? NULL : made;
}

static void go_round(srtp_t *out, srtp_t *in, const uint32_t *order, uint32_t contexts, int payload, double *seal,
                     double *open) {
    uint32_t places[PASS];
    for (int n = 0; n < PASS; n++, number++) {
        unsigned char *data = frames[n] + HEADROOM;
        uint16_t sequence = (uint16_t)(number / contexts);
        memset(data, 0xD5, 12 + payload);
        memset(data, 0, 12);
        data[0] = 0x80;
        data[2] = sequence >> 8;
        data[3] = sequence & 255;
        data[11] = 1;
        lengths[n] = 12 + payload;
        places[n] = order[number % contexts];
    }
    double a = now_ns();
    for (int n = 0; n < PASS; n++)
        if (srtp_protect(out[places[n]], frames[n] + HEADROOM, &lengths[n])) exit(4);
    double b = now_ns();
    for (int n = 0; n < PASS; n++)
        if (srtp_unprotect(in[places[n]], frames[n] + HEADROOM, &lengths[n])) exit(4);
    *open = (now_ns() - b) / PASS;
    *seal = (b - a) / PASS;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t suite = 0, known = sizeof suites / sizeof *suites;
    uint32_t contexts = (uint32_t)atoi(argv[2]);
    while (suite < known && strcmp(suites[suite].name, argv[1])) suite++;
    srtp_t *out = calloc(contexts, sizeof *out), *in = calloc(contexts, sizeof *in);
    uint32_t *order = shuffled(contexts);
    if (suite == known || srtp_init()) return 3;
    for (uint32_t n = 0; n < contexts; n++)
        if (!(out[n] = context(suite, n, ssrc_any_outbound)) || !(in[n] = context(suite, n, ssrc_any_inbound))) return 3;
    double seal, open;
    go_round(out, in, order, contexts, 160, &seal, &open);
    while (number < (uint64_t)WARM * contexts) go_round(out, in, order, contexts, 160, &seal, &open);
    puts("ready");
    fflush(stdout);
    int payload;
    long packets;
    while (scanf("%d %ld", &payload, &packets) == 2) {
        int passes = 0;
        while (passes < MOST_PASSES && (passes == 0 || (long)passes * PASS < packets)) {
            go_round(out, in, order, contexts, payload, &sealed[passes], &opened[passes]);
            passes++;
        }
        qsort(sealed, passes, sizeof *sealed, ascending);
        qsort(opened, passes, sizeof *opened, ascending);
        printf("%.1f %.1f\n", sealed[passes / 2], opened[passes / 2]);
        fflush(stdout);
    }
    return 0;
}
