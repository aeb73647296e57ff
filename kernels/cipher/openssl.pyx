# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Cipher back end over libcrypto.

A slot holds expanded AES keys (EVP contexts), so a packet costs an IV set-up, not a key schedule. HMAC needs no
state of its own: both SHA-1 states are in the session keys. SRTP order: encrypt then MAC; verify then decrypt.
"""
from cpython.pycapsule cimport PyCapsule_New
from libc.errno cimport EINVAL, ENOMEM
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from kernels.cipher.backend cimport Backend
from kernels.cipher.hmac cimport SHA1_DIGEST, hmac_digest
from kernels.cipher.job cimport Job, SessionKeys
from kernels.clib.openssl cimport (
    CRYPTO_memcmp, EVP_CIPHER, EVP_CIPHER_CTX, EVP_CIPHER_CTX_ctrl, EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new,
    EVP_CIPHER_CTX_set_padding, EVP_CIPHER_fetch, EVP_CIPHER_free, EVP_CTRL_AEAD_GET_TAG,
    EVP_CTRL_AEAD_SET_TAG, EVP_DecryptFinal_ex, EVP_DecryptInit_ex, EVP_DecryptUpdate,
    EVP_EncryptFinal_ex, EVP_EncryptInit_ex, EVP_EncryptUpdate, OPENSSL_cleanse,
)
from kernels.srtp.context cimport CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_CIPHER, DROP_NONE, DROP_TOO_LONG, FRAME


cdef struct Slot:
    EVP_CIPHER_CTX *cipher
    EVP_CIPHER_CTX *start           # F8 only: E(k_e xor m, .)

cdef struct State:
    EVP_CIPHER *ciphers[4][3]       # by CipherKind and key length (16, 24, 32 octets)
    EVP_CIPHER *block               # AES-128-ECB for the first step of F8
    uint32_t slots
    uint8_t scratch[FRAME + 16]     # plaintext that is not verified yet; F8 keystream
    Slot slot[1]                    # slots of them

cdef const char *NAMES[4][3]
NAMES[<int>CIPHER_NULL] = [NULL, NULL, NULL]
NAMES[<int>CIPHER_AES_CM] = ["AES-128-CTR", "AES-192-CTR", "AES-256-CTR"]
NAMES[<int>CIPHER_AES_F8] = ["AES-128-CBC", NULL, NULL]
NAMES[<int>CIPHER_AES_GCM] = ["AES-128-GCM", NULL, "AES-256-GCM"]

cdef Backend BACKEND
BACKEND.name = "openssl"
BACKEND.create = &create
BACKEND.destroy = &destroy
BACKEND.prepare = &prepare
BACKEND.forget = &forget
BACKEND.seal = &seal
BACKEND.open = &open_
BACKEND.slot_memory = &slot_memory


def offer():
    """The back end as a capsule; it runs everywhere."""
    return PyCapsule_New(&BACKEND, NULL, NULL)


# --- the packet path ------------------------------------------------------------------------------------------

cdef void seal(void *state, Job **jobs, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        jobs[i].drop = seal_one(<State *>state, jobs[i])

cdef void open_(void *state, Job **jobs, uint32_t count) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        jobs[i].drop = open_one(<State *>state, jobs[i])

cdef inline uint8_t seal_one(State *state, Job *job) noexcept nogil:
    cdef uint8_t digest[SHA1_DIGEST]
    if job.keys.cipher == CIPHER_AES_GCM:
        return DROP_NONE if gcm_seal(state, job) else DROP_CIPHER
    if job.body and not crypt(state, job):
        return DROP_CIPHER
    if job.tag_octets:
        hmac_digest(job.keys, job.data, job.clear + job.body, job.extra, job.extra_octets, digest)
        memcpy(job.tag, digest, job.tag_octets)
    return DROP_NONE

cdef inline uint8_t open_one(State *state, Job *job) noexcept nogil:
    cdef uint8_t digest[SHA1_DIGEST]
    if job.keys.cipher == CIPHER_AES_GCM:
        return gcm_open(state, job)
    if job.tag_octets:
        hmac_digest(job.keys, job.data, job.clear + job.body, job.extra, job.extra_octets, digest)
        if CRYPTO_memcmp(digest, job.tag, job.tag_octets) != 0:
            return DROP_AUTH_FAIL
    if job.body and not crypt(state, job):
        return DROP_CIPHER
    return DROP_NONE

cdef inline bint crypt(State *state, Job *job) noexcept nogil:
    """Counter mode and f8 are the same operation in both directions."""
    cdef int done = 0
    cdef EVP_CIPHER_CTX *cipher = state.slot[job.slot].cipher
    if job.keys.cipher == CIPHER_NULL:
        return True
    if job.keys.cipher == CIPHER_AES_F8:
        return f8(state, job)
    if cipher == NULL or EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, job.iv) != 1:
        return False
    return EVP_EncryptUpdate(cipher, job.data + job.clear, &done, job.data + job.clear, <int>job.body) == 1

cdef bint f8(State *state, Job *job) noexcept nogil:
    """S(j) = E(k_e, IV' xor j xor S(j-1)), RFC 3711 section 4.1.2.1: the blocks IV' xor j in CBC from a zero IV."""
    cdef Slot *slot = &state.slot[job.slot]
    cdef uint8_t zero[16]
    cdef uint8_t first[16]
    cdef uint8_t *stream = state.scratch
    cdef uint8_t *body = job.data + job.clear
    cdef uint32_t blocks = (job.body + 15) // 16, j, i
    cdef int done = 0
    if slot.cipher == NULL or slot.start == NULL or job.body > FRAME:
        return False
    memset(zero, 0, 16)
    if EVP_EncryptUpdate(slot.start, first, &done, job.iv, 16) != 1:
        return False
    for j in range(blocks):
        memcpy(stream + 16 * j, first, 16)
        stream[16 * j + 14] ^= <uint8_t>(j >> 8)
        stream[16 * j + 15] ^= <uint8_t>j
    if EVP_EncryptInit_ex(slot.cipher, NULL, NULL, NULL, zero) != 1:
        return False
    if EVP_EncryptUpdate(slot.cipher, stream, &done, stream, <int>(16 * blocks)) != 1:
        return False
    for i in range(job.body):
        body[i] ^= stream[i]
    return True

cdef inline bint gcm_seal(State *state, Job *job) noexcept nogil:
    cdef EVP_CIPHER_CTX *cipher = state.slot[job.slot].cipher
    cdef int done = 0
    cdef uint8_t *body = job.data + job.clear
    if cipher == NULL or EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, job.iv) != 1:
        return False
    if EVP_EncryptUpdate(cipher, NULL, &done, job.data, <int>job.clear) != 1:
        return False
    if job.extra_octets and EVP_EncryptUpdate(cipher, NULL, &done, job.extra, job.extra_octets) != 1:
        return False
    if job.body and EVP_EncryptUpdate(cipher, body, &done, body, <int>job.body) != 1:
        return False
    if EVP_EncryptFinal_ex(cipher, body + job.body, &done) != 1:
        return False
    return EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, job.tag_octets, job.tag) == 1

cdef inline uint8_t gcm_open(State *state, Job *job) noexcept nogil:
    """Into scratch first: nothing is released before the tag verifies (RFC 7714 section 8.4), and a failed try leaves
    the packet as it was."""
    cdef EVP_CIPHER_CTX *cipher = state.slot[job.slot].cipher
    cdef int done = 0
    cdef uint8_t *body = job.data + job.clear
    if job.body > FRAME:
        return DROP_TOO_LONG
    if cipher == NULL or EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, job.iv) != 1:
        return DROP_CIPHER
    if EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, job.tag_octets, job.tag) != 1:
        return DROP_CIPHER
    if EVP_DecryptUpdate(cipher, NULL, &done, job.data, <int>job.clear) != 1:
        return DROP_CIPHER
    if job.extra_octets and EVP_DecryptUpdate(cipher, NULL, &done, job.extra, job.extra_octets) != 1:
        return DROP_CIPHER
    if job.body and EVP_DecryptUpdate(cipher, state.scratch, &done, body, <int>job.body) != 1:
        return DROP_CIPHER
    if EVP_DecryptFinal_ex(cipher, state.scratch + job.body, &done) != 1:
        return DROP_AUTH_FAIL
    memcpy(body, state.scratch, job.body)
    return DROP_NONE


# --- keys ------------------------------------------------------------------------------------------------------

cdef int prepare(void *state_, uint32_t index, const SessionKeys *keys, bint seals) noexcept nogil:
    cdef State *state = <State *>state_
    cdef Slot *slot = &state.slot[index]
    cdef EVP_CIPHER *cipher
    if index >= state.slots or keys.cipher > CIPHER_AES_GCM or keys.key_octets % 8 or not 16 <= keys.key_octets <= 32:
        return -EINVAL
    if keys.cipher == CIPHER_NULL:
        return 0
    cipher = state.ciphers[keys.cipher][keys.key_octets // 8 - 2]
    if cipher == NULL:
        return -EINVAL
    if slot.cipher == NULL:
        slot.cipher = EVP_CIPHER_CTX_new()
    if slot.cipher == NULL:
        return -ENOMEM
    if keys.cipher == CIPHER_AES_F8:
        return prepare_f8(state, slot, cipher, keys)
    if keys.cipher == CIPHER_AES_GCM and not seals:
        return 0 if EVP_DecryptInit_ex(slot.cipher, cipher, NULL, keys.cipher_key, NULL) == 1 else -ENOMEM
    return 0 if EVP_EncryptInit_ex(slot.cipher, cipher, NULL, keys.cipher_key, NULL) == 1 else -ENOMEM

cdef int prepare_f8(State *state, Slot *slot, EVP_CIPHER *cipher, const SessionKeys *keys) noexcept nogil:
    """The second key is k_e xor m with m = k_s || 0x55.. (RFC 3711 section 4.1.2.1)."""
    cdef uint8_t masked[16]
    cdef uint32_t i
    cdef bint done
    if slot.start == NULL:
        slot.start = EVP_CIPHER_CTX_new()
    if slot.start == NULL:
        return -ENOMEM
    for i in range(16):
        masked[i] = keys.cipher_key[i] ^ (keys.salt[i] if i < keys.salt_octets else 0x55)
    done = (EVP_EncryptInit_ex(slot.cipher, cipher, NULL, keys.cipher_key, NULL) == 1
            and EVP_EncryptInit_ex(slot.start, state.block, NULL, masked, NULL) == 1)
    OPENSSL_cleanse(masked, sizeof(masked))
    if not done:
        return -ENOMEM
    EVP_CIPHER_CTX_set_padding(slot.cipher, 0)
    EVP_CIPHER_CTX_set_padding(slot.start, 0)
    return 0

cdef void forget(void *state_, uint32_t index) noexcept nogil:
    cdef State *state = <State *>state_
    if index < state.slots:
        EVP_CIPHER_CTX_free(state.slot[index].cipher)       # libcrypto cleanses the key schedule
        EVP_CIPHER_CTX_free(state.slot[index].start)
        state.slot[index].cipher = NULL
        state.slot[index].start = NULL


# --- process-local state ---------------------------------------------------------------------------------------

cdef void *create(uint32_t slots) noexcept nogil:
    cdef State *state = <State *>calloc(1, sizeof(State) + <size_t>slots * sizeof(Slot))
    cdef uint32_t kind, size
    if state == NULL:
        return NULL
    state.slots = slots
    state.block = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL)
    for kind in range(4):
        for size in range(3):
            if NAMES[kind][size] != NULL:
                state.ciphers[kind][size] = EVP_CIPHER_fetch(NULL, NAMES[kind][size], NULL)
    return state

cdef void destroy(void *state_) noexcept nogil:
    cdef State *state = <State *>state_
    cdef uint32_t i, kind, size
    if state == NULL:
        return
    for i in range(state.slots):
        forget(state, i)
    for kind in range(4):
        for size in range(3):
            EVP_CIPHER_free(state.ciphers[kind][size])
    EVP_CIPHER_free(state.block)
    OPENSSL_cleanse(state, sizeof(State))
    free(state)

cdef const void *slot_memory(void *state_, uint32_t *stride) noexcept nogil:
    """Nothing worth fetching: what libcrypto reads lies behind its own pointers."""
    stride[0] = 0
    return NULL
