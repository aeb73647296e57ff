/* What the engine hands to a cipher back end; job.pxd is its Cython face. Here because C kernels read it too. */
#ifndef SRTPGW_CIPHER_JOB_H
#define SRTPGW_CIPHER_JOB_H

#include <stdint.h>

/* Cython's own name of kernels.wire.packet.Packet: kernels pass the pointer through and never look behind it. */
struct __pyx_t_7kernels_4wire_6packet_Packet;

struct SessionKeys {            /* derived keys of one protocol (RTP or RTCP) of one master key; 128 octets of arena */
    uint8_t cipher;             /* CipherKind */
    uint8_t auth;               /* AuthKind */
    uint8_t key_octets;
    uint8_t salt_octets;
    uint8_t ready;              /* 1: complete; 0 while it is written */
    uint8_t reserved[3];
    uint32_t inner[5];          /* SHA-1 state after key xor ipad: HMAC without the key schedule */
    uint32_t outer[5];          /* ... and after key xor opad */
    uint8_t salt[16];           /* salt_octets of them count, zeros follow */
    uint8_t cipher_key[32];     /* from here on nothing that a packet needs once the back end is prepared */
    uint64_t epoch;             /* r = index DIV key derivation rate (RFC 3711 section 4.3.1) */
    uint8_t spare[24];
};

enum JobVerdict {               /* of enum Drop (kernels/wire/packet.pxd); vaes.pyx compares the two */
    JOB_DONE = 0,
    JOB_FORGED = 7,             /* DROP_AUTH_FAIL */
    JOB_TOO_LONG = 17,          /* DROP_TOO_LONG */
    JOB_FAILED = 21             /* DROP_CIPHER */
};

struct Job {                    /* one packet for seal or open, in place; 96 octets, a back end reads the first 60 */
    uint8_t iv[16];             /* CM: counter block, its last two octets zero; GCM: 12 octets, zeros follow; F8: IV before
                                   the first encryption. Written in one piece: a load behind two smaller stores stalls */
    uint8_t *data;              /* first octet of the authenticated portion */
    uint8_t *tag;               /* where the tag is written (seal) or stands (open) */
    const struct SessionKeys *keys;
    uint32_t slot;              /* process-local state of these keys (Backend.prepare) */
    uint32_t clear;             /* leading octets that are authenticated only */
    uint32_t body;              /* octets after them that are encrypted */
    uint8_t extra[4];           /* authenticated after clear+body: ROC (SRTP) or E||index (SRTCP); GCM: end of the AAD */
    uint8_t tag_octets;         /* 0: no authentication */
    uint8_t extra_octets;       /* 0 or 4 */
    uint16_t drop;              /* result: 0, DROP_AUTH_FAIL or DROP_CIPHER (enum Drop) */
    /* the engine's own notes, of no meaning to a back end */
    uint8_t rtcp;
    uint8_t wrong_flag;         /* SRTCP E bit is not the negotiated one */
    uint16_t length;            /* of the datagram when all went well */
    struct __pyx_t_7kernels_4wire_6packet_Packet *packet;
    uint64_t index;
    uint32_t crypto;
    uint32_t key;
    uint32_t stream;            /* NO_SLOT: SSRC not seen yet */
    uint32_t ssrc;
};

#endif
