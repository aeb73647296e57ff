/* libsrtp's cost per packet: whole protect and unprotect, in place, as a gateway calls it. Prints "protect unprotect", ns.
 * Arguments: suite (cm128 or gcm128), contexts, payload octets, packets. Compiled at bench time against the system's
 * libsrtp2; Debian builds it with NSS, which is slower than OpenSSL (FIGURES.md section 1). */
#include <srtp2/srtp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, ROOM = 2240 };
static unsigned char frames[BATCH][ROOM];

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int gcm = !strcmp(argv[1], "gcm128"), contexts = atoi(argv[2]), payload = atoi(argv[3]);
    long packets = atol(argv[4]), done = 0, round = 0;
    unsigned char key[30] = {1, 2, 3};
    srtp_t *out = calloc(contexts, sizeof *out), *in = calloc(contexts, sizeof *in);
    double protect = 0, unprotect = 0;
    srtp_init();
    for (int i = 0; i < contexts; i++) {
        srtp_policy_t p;
        memset(&p, 0, sizeof p);
        if (gcm) {
            srtp_crypto_policy_set_aes_gcm_128_16_auth(&p.rtp);
            srtp_crypto_policy_set_aes_gcm_128_16_auth(&p.rtcp);
        } else {
            srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&p.rtp);
            srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&p.rtcp);
        }
        key[0] = i;
        p.key = key;
        p.window_size = 128;
        p.ssrc.type = ssrc_any_outbound;
        if (srtp_create(&out[i], &p)) return 3;
        p.ssrc.type = ssrc_any_inbound;
        if (srtp_create(&in[i], &p)) return 3;
    }
    for (; done < packets; done += BATCH, round++) {
        int length[BATCH];
        for (int i = 0; i < BATCH; i++) {
            long number = done + i;
            uint16_t sequence = (uint16_t)(number / contexts);
            memset(frames[i], 0, 12);
            frames[i][0] = 0x80;
            frames[i][2] = sequence >> 8;
            frames[i][3] = sequence & 255;
            frames[i][11] = 1;
            length[i] = 12 + payload;
        }
        double a = now_ns();
        for (int i = 0; i < BATCH; i++)
            if (srtp_protect(out[(done + i) % contexts], frames[i], &length[i])) return 4;
        double b = now_ns();
        for (int i = 0; i < BATCH; i++)
            if (srtp_unprotect(in[(done + i) % contexts], frames[i], &length[i])) return 5;
        double c = now_ns();
        protect += b - a;
        unprotect += c - b;
    }
    printf("%.1f %.1f\n", protect / done, unprotect / done);
    return 0;
}
