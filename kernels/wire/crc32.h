/* CRC-32 of ISO 3309 (reflected 0xEDB88320), as STUN's FINGERPRINT wants it (RFC 8489 section 14.7).
   By carry-less multiplication where the CPU has it (V. Gopal et al., "Fast CRC Computation for Generic Polynomials
   Using PCLMULQDQ Instruction", Intel 2009, bit-reflected case), else four bits at a time. Neither takes a table of
   kilobytes: checks come seldom and find the caches cold. */
#ifndef SRTPGW_WIRE_CRC32_H
#define SRTPGW_WIRE_CRC32_H

#include <stdint.h>
#include <string.h>

static inline uint32_t crc32_nibbles(uint32_t crc, const uint8_t *data, uint32_t octets)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    for (uint32_t i = 0; i < octets; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>
#define CRC32_CLMUL __attribute__((target("pclmul,sse4.1")))

/* Barrett reduction: the CRC that the low 64 bits of `rest` come to. */
CRC32_CLMUL static inline uint32_t crc32_reduce(__m128i rest)
{
    const __m128i poly = _mm_set_epi64x(0x01F7011641, 0x01DB710641), low = _mm_set_epi32(0, -1, 0, -1);
    __m128i quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(rest, low), poly, 0x10), low);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(rest, _mm_clmulepi64_si128(quotient, poly, 0x00)), 1);
}

CRC32_CLMUL static inline uint32_t crc32_clmul(uint32_t crc, const uint8_t *data, uint32_t octets)
{
    const __m128i fold = _mm_set_epi64x(0x00CCAA009E, 0x01751997D0), low = _mm_set_epi32(0, -1, 0, -1);
    if (octets >= 16) {
        __m128i state = _mm_xor_si128(_mm_loadu_si128((const __m128i *)data), _mm_cvtsi32_si128((int)crc));
        for (data += 16, octets -= 16; octets >= 16; data += 16, octets -= 16)
            state = _mm_xor_si128(_mm_loadu_si128((const __m128i *)data),
                                  _mm_xor_si128(_mm_clmulepi64_si128(state, fold, 0x00),
                                                _mm_clmulepi64_si128(state, fold, 0x11)));
        state = _mm_xor_si128(_mm_srli_si128(state, 8), _mm_clmulepi64_si128(state, fold, 0x10));
        state = _mm_xor_si128(_mm_srli_si128(state, 4),
                              _mm_clmulepi64_si128(_mm_and_si128(state, low), _mm_cvtsi64_si128(0x0163CD6124), 0x00));
        crc = crc32_reduce(state);
    }
    for (; octets >= 4; data += 4, octets -= 4) {
        uint32_t word;
        memcpy(&word, data, 4);
        crc = crc32_reduce(_mm_cvtsi32_si128((int)(crc ^ word)));
    }
    return crc32_nibbles(crc, data, octets);
}
#endif

static inline uint32_t crc32_of(const uint8_t *data, uint32_t octets)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        return ~crc32_clmul(0xFFFFFFFF, data, octets);
#endif
    return ~crc32_nibbles(0xFFFFFFFF, data, octets);
}

#endif
