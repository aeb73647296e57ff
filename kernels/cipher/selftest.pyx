# cython: language_level=3
"""Power-on self-test of a cipher back end: seal must give the published answer, open must give back the plaintext,
and open must refuse the same packet with one bit of its tag turned."""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

from kernels.cipher.hmac cimport hmac_prepare
from kernels.cipher.job cimport Job, SessionKeys
from kernels.srtp.context cimport AUTH_HMAC_SHA1, AUTH_NONE, CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_NONE

cdef enum:
    MOST_ANSWERS = 8
    ROOM = 80

cdef struct Answer:
    SessionKeys keys
    uint8_t iv[16]
    uint8_t plain[ROOM]
    uint8_t sealed[ROOM]
    uint8_t tag[16]
    uint32_t clear
    uint32_t body
    uint8_t tag_octets

cdef Answer ANSWERS[MOST_ANSWERS]
cdef uint32_t answers = 0


cdef _learn(int cipher, str key, str salt, str iv, str clear, str plain, str sealed, str tag="", str auth_key=""):
    """One row; all hexadecimal. Called at import only."""
    global answers
    cdef Answer *row = &ANSWERS[answers]
    cdef bytes part
    memset(row, 0, sizeof(Answer))
    row.keys.cipher = cipher
    row.keys.auth = AUTH_HMAC_SHA1 if auth_key else AUTH_NONE
    row.keys.key_octets = len(key) // 2 or 16
    row.keys.salt_octets = len(salt) // 2
    row.clear, row.body, row.tag_octets = len(clear) // 2, len(plain) // 2, len(tag) // 2
    if row.clear + row.body > ROOM or row.tag_octets > 16:
        raise ValueError("known answer too long")
    part = bytes.fromhex(key)
    memcpy(row.keys.cipher_key, <const uint8_t *>part, len(part))
    part = bytes.fromhex(salt)
    memcpy(row.keys.salt, <const uint8_t *>part, len(part))
    part = bytes.fromhex(iv)
    memcpy(row.iv, <const uint8_t *>part, len(part))
    part = bytes.fromhex(clear + plain)
    memcpy(row.plain, <const uint8_t *>part, len(part))
    part = bytes.fromhex(clear + sealed)
    memcpy(row.sealed, <const uint8_t *>part, len(part))
    part = bytes.fromhex(tag)
    memcpy(row.tag, <const uint8_t *>part, len(part))
    part = bytes.fromhex(auth_key)
    hmac_prepare(&row.keys, <const uint8_t *>part, <uint32_t>len(part))
    answers += 1


# RFC 3711 B.2, RFC 6188 section 7.1 and 7.3: keystream over zeros
_learn(CIPHER_AES_CM, "2b7e151628aed2a6abf7158809cf4f3c", "", "f0f1f2f3f4f5f6f7f8f9fafbfcfd0000", "", "00" * 48,
       "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0")
_learn(CIPHER_AES_CM, "eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7", "", "f0f1f2f3f4f5f6f7f8f9fafbfcfd0000", "",
       "00" * 48, "35096cba4610028dc1b57503804ce37c5de986291dcce161d5165ec4568f5c9a474a40c77894bc17180202272a4c264d")
_learn(CIPHER_AES_CM, "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98", "",
       "f0f1f2f3f4f5f6f7f8f9fafbfcfd0000", "", "00" * 48,
       "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31")
# RFC 3711 B.1
_learn(CIPHER_AES_F8, "234829008467be186c3de14aae72d62c", "32f2870d", "006e5cba50681de55c621599d462564a", "",
       "70736575646f72616e646f6d6e65737320697320746865206e6578742062657374207468696e67",
       "019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802")
# RFC 7714 sections 16.1.1 and 16.2.1
_learn(CIPHER_AES_GCM, "000102030405060708090a0b0c0d0e0f", "", "51753c6580c2726f20718414", "8040f17b8041f8d35501a0b2",
       "47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573",
       "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833",
       "899d7f27beb16a9152cf765ee4390cce")
_learn(CIPHER_AES_GCM, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "",
       "51753c6580c2726f20718414",
       "8040f17b8041f8d35501a0b2", "47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573",
       "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b",
       "7aa3db36dfffd6b0f9bb7878d7a76c13")
# RFC 2202 section 3, case 1 ("Hi There"), tag of 10 octets
_learn(CIPHER_NULL, "", "", "", "4869205468657265", "", "", "b617318655057264e28b", "0b" * 20)


cdef bint selftest_passes(const Backend *backend) noexcept nogil:
    cdef void *state = backend.create(2)
    cdef uint32_t i
    cdef bint passes = state != NULL and answers > 0
    if state == NULL:
        return False
    for i in range(answers):
        passes = passes and seals(backend, state, &ANSWERS[i]) and opens(backend, state, &ANSWERS[i])
    backend.destroy(state)
    return passes

cdef void job_of(Job *job, const Answer *row, uint8_t *data, uint8_t *tag, uint32_t slot) noexcept nogil:
    memset(job, 0, sizeof(Job))
    job.data, job.tag, job.keys, job.slot = data, tag, &row.keys, slot
    job.clear, job.body, job.tag_octets = row.clear, row.body, row.tag_octets
    memcpy(job.iv, row.iv, 16)

cdef bint seals(const Backend *backend, void *state, const Answer *row) noexcept nogil:
    cdef uint8_t data[ROOM]
    cdef uint8_t tag[16]
    cdef Job job
    cdef Job *jobs = &job
    memcpy(data, row.plain, ROOM)
    job_of(&job, row, data, tag, 0)
    if backend.prepare(state, 0, &row.keys, True) != 0:
        return False
    backend.seal(state, &jobs, 1)
    backend.forget(state, 0)
    return (job.drop == DROP_NONE and memcmp(data, row.sealed, row.clear + row.body) == 0
            and memcmp(tag, row.tag, row.tag_octets) == 0)

cdef bint opens(const Backend *backend, void *state, const Answer *row) noexcept nogil:
    cdef uint8_t data[ROOM]
    cdef uint8_t tag[16]
    cdef Job job
    cdef Job *jobs = &job
    memcpy(data, row.sealed, ROOM)
    memcpy(tag, row.tag, 16)
    job_of(&job, row, data, tag, 1)
    if backend.prepare(state, 1, &row.keys, False) != 0:
        return False
    if row.tag_octets:
        tag[row.tag_octets - 1] ^= 1
        backend.open(state, &jobs, 1)
        if job.drop != DROP_AUTH_FAIL or memcmp(data, row.sealed, row.clear + row.body) != 0:
            return False
        tag[row.tag_octets - 1] ^= 1
    backend.open(state, &jobs, 1)
    backend.forget(state, 1)
    return job.drop == DROP_NONE and memcmp(data, row.plain, row.clear + row.body) == 0
