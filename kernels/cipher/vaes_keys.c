/* Slots of the VAES back end: AES key expansion (FIPS 197 section 5.2) and the powers of H for GHASH. */
#include <string.h>

#include "cipher/vaes.h"
#include "cipher/vaes_ghash.h"
#include "cipher/vaes_simd.h"

int vaes_usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2")
        && __builtin_cpu_supports("vaes") && __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("aes")
        && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("bmi2");
}

/* S-box of one word, by the instruction that has it. */
VAES_INLINE uint32_t substitute(uint32_t word)
{
    return (uint32_t)_mm_extract_epi32(_mm_aeskeygenassist_si128(_mm_set1_epi32((int)word), 0), 0);
}

VAES static void expand(uint8_t (*keys)[16], const uint8_t *key, uint32_t octets)
{
    uint32_t words = octets / 4, total = 4 * (words + 7), schedule[60], round = 1;
    memcpy(schedule, key, octets);
    for (uint32_t i = words; i < total; i++) {
        uint32_t word = schedule[i - 1];
        if (i % words == 0) {
            word = substitute(word);
            word = (word >> 8 | word << 24) ^ round;        /* RotWord, in little-endian order */
            round = (round << 1) ^ (round & 0x80 ? 0x11B : 0);
        } else if (words == 8 && i % 8 == 4) {
            word = substitute(word);
        }
        schedule[i] = schedule[i - words] ^ word;
    }
    memcpy(keys, schedule, 4 * total);
    explicit_bzero(schedule, sizeof schedule);
}

/* H = E(k, 0), then H^1 .. H^12, each multiplied by x so that products of reflected blocks need no shift. */
VAES static void prepare_gcm(struct VaesSlot *slot)
{
    const x128 *key = (const x128 *)slot->gcm.keys;
    x128 h = key[0], power;
    for (int i = 1; i < slot->rounds; i++)
        h = _mm_aesenc_si128(h, key[i]);
    h = times_x(reflect_block(_mm_aesenclast_si128(h, key[slot->rounds])));
    power = h;
    for (int i = POWERS - 1; i >= 0; i--) {
        _mm_store_si128((x128 *)slot->gcm.powers[i], power);
        power = multiply_block(power, h);
    }
}

VAES static void prepare_f8(struct VaesSlot *slot, const struct SessionKeys *keys)
{
    uint8_t masked[16];
    for (uint32_t i = 0; i < 16; i++)                       /* k_e xor m, m = k_s || 0x55.. (RFC 3711 section 4.1.2.1) */
        masked[i] = keys->cipher_key[i] ^ (i < keys->salt_octets ? keys->salt[i] : 0x55);
    expand(slot->cm.keys + VAES_START, masked, 16);
    explicit_bzero(masked, sizeof masked);
}

/* 0: the slot is complete; -1: no such cipher and key length. */
VAES int vaes_prepare(struct VaesSlot *slot, const struct SessionKeys *keys)
{
    static const uint8_t kinds[4] = {VAES_NULL, VAES_CM, VAES_F8, VAES_GCM};
    uint32_t octets = keys->key_octets;
    if (keys->cipher > 3 || (octets != 16 && octets != 24 && octets != 32))
        return -1;
    uint8_t kind = kinds[keys->cipher];
    if ((kind == VAES_F8 && octets != 16) || (kind == VAES_GCM && octets == 24))
        return -1;
    explicit_bzero(slot, sizeof *slot);
    slot->rounds = (uint8_t)(octets / 4 + 6);
    if (kind == VAES_GCM) {
        expand(slot->gcm.keys, keys->cipher_key, octets);
        prepare_gcm(slot);
    } else {
        memcpy(slot->cm.inner, keys->inner, sizeof keys->inner);
        memcpy(slot->cm.outer, keys->outer, sizeof keys->outer);
        if (kind != VAES_NULL)
            expand(slot->cm.keys, keys->cipher_key, octets);
        if (kind == VAES_F8)
            prepare_f8(slot, keys);
    }
    slot->kind = kind;
    return 0;
}
