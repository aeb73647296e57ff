# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Cipher back end over Intel's ipsec-mb: AES-CM and HMAC-SHA1 as two bursts over all packets, GCM by the direct calls.

    seal    encrypt burst per key length (CNTR; F8 as CBC) -> hash burst -> tags
    open    hash burst -> tags compared -> decrypt burst of what is genuine; GCM into scratch, released when it verifies

Its hash-and-cipher jobs would decrypt whatever the tag says, so they are not used. A hash burst wants its message
in one piece: the ROC stands for a moment where the packet's own trailer is; that is put back before the tag is read.
"""
from cpython.pycapsule cimport PyCapsule_New
from libc.errno cimport EINVAL, ENOMEM
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from posix.stdlib cimport posix_memalign

from kernels.cipher.backend cimport Backend
from kernels.cipher.job cimport Job, SessionKeys
from kernels.cipher.slots cimport slots_map, slots_unmap
from kernels.clib.ipsec_mb cimport (
    IMB_AES128_GCM_DEC, IMB_AES128_GCM_ENC, IMB_AES128_GCM_PRE, IMB_AES256_GCM_DEC, IMB_AES256_GCM_ENC,
    IMB_AES256_GCM_PRE, IMB_AES_KEYEXP_128, IMB_AES_KEYEXP_192, IMB_AES_KEYEXP_256, IMB_ARCH_AVX, IMB_ARCH_AVX2,
    IMB_ARCH_AVX512, IMB_ARCH_SSE, IMB_AUTH_HMAC_SHA_1, IMB_CIPHER_CBC, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT,
    IMB_FEATURE_AESNI, IMB_FEATURE_PCLMULQDQ, IMB_JOB, IMB_MGR, IMB_STATUS_COMPLETED,
    IMB_SUBMIT_CIPHER_BURST_NOCHECK, IMB_SUBMIT_HASH_BURST_NOCHECK, alloc_mb_mgr, free_mb_mgr, gcm_context_data,
    gcm_key_data, imb_get_errno, init_mb_mgr_auto, init_mb_mgr_avx, init_mb_mgr_avx2, init_mb_mgr_avx512,
    init_mb_mgr_sse,
)
from kernels.clib.openssl cimport CRYPTO_memcmp, OPENSSL_cleanse
from kernels.srtp.context cimport CIPHER_AES_CM, CIPHER_AES_F8, CIPHER_AES_GCM, CIPHER_NULL
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_CIPHER, DROP_NONE, DROP_TOO_LONG, FRAME

cdef enum:
    WINDOW = 64                 # jobs of one burst
    F8_AT_ONCE = 16
    DIGEST = 20
    F8_START = 11               # Slot.keys: round keys of k_e xor m
    MOST_TRAILER = 132          # MKI and SRTCP index between body and tag

cdef struct Slot:               # 448 octets
    uint8_t ready               # 0: empty
    uint8_t kind                # CipherKind
    uint8_t key_octets
    uint8_t padding[5]
    gcm_key_data *gcm           # of its own, for it is 1,008 octets and wants its alignment
    uint32_t inner[5]
    uint32_t outer[5]
    uint8_t padding2[8]
    uint8_t keys[24][16]

cdef struct State:
    IMB_MGR *manager            # one per thread: a state has one owner
    Slot *slot
    uint32_t slots
    size_t mapped
    IMB_JOB work[WINDOW]
    Job *jobs[WINDOW]           # that stand behind work
    uint8_t saved[WINDOW][4]    # octets of a packet that its ROC stands on
    uint8_t digests[WINDOW][32]
    uint8_t first[F8_AT_ONCE][16]
    uint8_t stream[F8_AT_ONCE][FRAME + 16]
    uint8_t scratch[FRAME + 64]
    gcm_context_data context

cdef uint8_t ZERO[16]             # static memory: zero, and nobody writes it

cdef Backend BACKEND
BACKEND.name = "ipsec-mb"
BACKEND.create = &create
BACKEND.destroy = &destroy
BACKEND.prepare = &prepare
BACKEND.forget = &forget
BACKEND.seal = &seal
BACKEND.open = &open_
BACKEND.slot_memory = &slot_memory

ctypedef void (*Initialise)(IMB_MGR *manager) noexcept nogil
cdef Initialise[5] _GENERATIONS
_GENERATIONS[:] = [&_init_auto, &init_mb_mgr_sse, &init_mb_mgr_avx, &init_mb_mgr_avx2, &init_mb_mgr_avx512]
cdef Initialise _initialise = _GENERATIONS[0]


def offer():
    """The back end as a capsule, or why it cannot run here."""
    cdef IMB_MGR *manager = new_manager()
    if manager == NULL:
        return "this CPU lacks AES-NI or PCLMULQDQ"
    free_mb_mgr(manager)
    return PyCapsule_New(&BACKEND, NULL, NULL)


def use(generation: str) -> bool:
    """For tests: states created from now on use the library's code of this generation of CPUs (auto, sse, avx, avx2,
    avx512). False: this CPU cannot, nothing changes. KeyError: unknown."""
    global _initialise
    cdef Initialise before = _initialise
    cdef IMB_MGR *manager
    _initialise = _GENERATIONS[<int>{"auto": 0, "sse": 1, "avx": 2, "avx2": 3, "avx512": 4}[generation]]
    manager = new_manager()
    if manager == NULL:
        _initialise = before
        return False
    free_mb_mgr(manager)
    return True


def generation() -> str:
    """Of CPUs: whose code a state created now runs."""
    cdef IMB_MGR *manager = new_manager()
    if manager == NULL:
        raise MemoryError
    used = manager.used_arch
    free_mb_mgr(manager)
    return {IMB_ARCH_SSE: "sse", IMB_ARCH_AVX: "avx", IMB_ARCH_AVX2: "avx2", IMB_ARCH_AVX512: "avx512"}[used]


# --- the packet path ------------------------------------------------------------------------------------------

cdef void seal(void *state, Job **jobs, uint32_t count) noexcept nogil:
    cdef uint32_t done = 0
    while done < count:
        window(<State *>state, jobs + done, min(count - done, <uint32_t>WINDOW), True)
        done += WINDOW

cdef void open_(void *state, Job **jobs, uint32_t count) noexcept nogil:
    cdef uint32_t done = 0
    while done < count:
        window(<State *>state, jobs + done, min(count - done, <uint32_t>WINDOW), False)
        done += WINDOW

cdef const void *slot_memory(void *state, uint32_t *stride) noexcept nogil:
    stride[0] = sizeof(Slot)
    return (<State *>state).slot

cdef void window(State *state, Job **jobs, uint32_t count, bint seals) noexcept nogil:
    cdef uint32_t i
    for i in range(count):
        jobs[i].drop = admit(state, jobs[i])
    if seals:
        crypt(state, jobs, count)
    authenticate(state, jobs, count, seals)
    if not seals:
        crypt(state, jobs, count)
    for i in range(count):
        if jobs[i].drop == DROP_NONE and state.slot[jobs[i].slot].kind == CIPHER_AES_GCM:
            jobs[i].drop = gcm_seal(state, jobs[i]) if seals else gcm_open(state, jobs[i])

cdef inline uint8_t admit(State *state, Job *job) noexcept nogil:
    cdef uint8_t kind
    if job.slot >= state.slots:
        return DROP_CIPHER
    kind = state.slot[job.slot].kind
    if not state.slot[job.slot].ready or job.tag_octets > (16 if kind == CIPHER_AES_GCM else DIGEST):
        return DROP_CIPHER
    if kind == CIPHER_AES_GCM and job.tag_octets == 0:
        return DROP_CIPHER
    if job.clear + job.body > FRAME and (kind != CIPHER_AES_CM or job.tag_octets):
        return DROP_TOO_LONG
    return DROP_NONE

cdef void crypt(State *state, Job **jobs, uint32_t count) noexcept nogil:
    """Counter mode and f8 are the same operation in both directions. The library takes no empty body."""
    cdef uint32_t octets, n, i
    cdef Slot *slot
    for octets in range(16, 33, 8):
        n = 0
        for i in range(count):
            slot = &state.slot[jobs[i].slot]
            if jobs[i].drop == DROP_NONE and slot.kind == CIPHER_AES_CM and slot.key_octets == octets and jobs[i].body:
                aim(&state.work[n], slot.keys[0], octets, jobs[i].iv, jobs[i].data + jobs[i].clear, jobs[i].body)
                state.jobs[n] = jobs[i]
                n += 1
        cipher_burst(state, n, IMB_CIPHER_CNTR, <int>octets)
    n = 0
    for i in range(count):
        if jobs[i].drop == DROP_NONE and state.slot[jobs[i].slot].kind == CIPHER_AES_F8 and jobs[i].body:
            state.jobs[n] = jobs[i]
            n += 1
            if n == F8_AT_ONCE:
                f8(state, n)
                n = 0
    f8(state, n)

cdef inline void aim(IMB_JOB *work, const uint8_t *keys, uint32_t key_octets, const uint8_t *iv, uint8_t *data,
                     uint32_t octets) noexcept nogil:
    work.enc_keys, work.key_len_in_bytes = keys, key_octets
    work.src, work.dst, work.cipher_start_src_offset_in_bytes = data, data, 0
    work.msg_len_to_cipher_in_bytes = octets
    work.iv, work.iv_len_in_bytes = iv, 16

cdef void cipher_burst(State *state, uint32_t count, int mode, int key_octets) noexcept nogil:
    cdef uint32_t i
    if count == 0:
        return
    IMB_SUBMIT_CIPHER_BURST_NOCHECK(state.manager, state.work, count, mode, IMB_DIR_ENCRYPT, key_octets)
    for i in range(count):
        if state.work[i].status != IMB_STATUS_COMPLETED:
            state.jobs[i].drop = DROP_CIPHER

cdef void f8(State *state, uint32_t count) noexcept nogil:
    """S(j) = E(k_e, IV' xor j xor S(j-1)) with IV' = E(k_e xor m, IV), RFC 3711 section 4.1.2.1: the blocks IV' xor j
    in CBC from a zero IV. state.jobs[:count] have a body each."""
    cdef uint32_t i, j, blocks
    cdef Job *job
    for i in range(count):
        memcpy(state.first[i], state.jobs[i].iv, 16)
        aim(&state.work[i], state.slot[state.jobs[i].slot].keys[F8_START], 16, ZERO, state.first[i], 16)
    cipher_burst(state, count, IMB_CIPHER_CBC, 16)
    for i in range(count):
        job = state.jobs[i]
        blocks = (job.body + 15) // 16
        for j in range(blocks):
            memcpy(state.stream[i] + 16 * j, state.first[i], 16)
            state.stream[i][16 * j + 14] ^= <uint8_t>(j >> 8)
            state.stream[i][16 * j + 15] ^= <uint8_t>j
        aim(&state.work[i], state.slot[job.slot].keys[0], 16, ZERO, state.stream[i], 16 * blocks)
    cipher_burst(state, count, IMB_CIPHER_CBC, 16)
    for i in range(count):
        job = state.jobs[i]
        if job.drop == DROP_NONE:
            for j in range(job.body):
                job.data[job.clear + j] ^= state.stream[i][j]
        OPENSSL_cleanse(state.stream[i], (job.body + 15) // 16 * 16)

cdef void authenticate(State *state, Job **jobs, uint32_t count, bint seals) noexcept nogil:
    """HMAC-SHA1 of every job that has a tag and no GCM."""
    cdef uint32_t i, n = 0
    cdef Job *job
    for i in range(count):
        job = jobs[i]
        if job.drop != DROP_NONE or job.tag_octets == 0 or state.slot[job.slot].kind == CIPHER_AES_GCM:
            continue
        if stands_apart(job):
            hash_apart(state, job, seals)
        else:
            memcpy(state.saved[n], job.data + job.clear + job.body, job.extra_octets)
            memcpy(job.data + job.clear + job.body, job.extra, job.extra_octets)
            aim_hash(state, n, job, job.data)
            n += 1
    if n:
        IMB_SUBMIT_HASH_BURST_NOCHECK(state.manager, state.work, n, IMB_AUTH_HMAC_SHA_1)
    for i in range(n):
        job = state.jobs[i]
        memcpy(job.data + job.clear + job.body, state.saved[i], job.extra_octets)
        job.drop = settle(job, &state.work[i], state.digests[i], seals)

cdef inline bint stands_apart(const Job *job) noexcept nogil:
    """Whether the octets after the body are not the packet's own trailer, so that nothing may be put there."""
    cdef ptrdiff_t trailer = job.tag - (job.data + job.clear + job.body)
    return job.extra_octets and not (0 <= trailer <= MOST_TRAILER and trailer + job.tag_octets >= job.extra_octets)

cdef void hash_apart(State *state, Job *job, bint seals) noexcept nogil:
    memcpy(state.scratch, job.data, job.clear + job.body)
    memcpy(state.scratch + job.clear + job.body, job.extra, job.extra_octets)
    aim_hash(state, WINDOW - 1, job, state.scratch)
    IMB_SUBMIT_HASH_BURST_NOCHECK(state.manager, &state.work[WINDOW - 1], 1, IMB_AUTH_HMAC_SHA_1)
    job.drop = settle(job, &state.work[WINDOW - 1], state.digests[WINDOW - 1], seals)

cdef inline void aim_hash(State *state, uint32_t at, Job *job, const uint8_t *message) noexcept nogil:
    cdef IMB_JOB *work = &state.work[at]
    state.jobs[at] = job
    work.src, work.hash_start_src_offset_in_bytes = message, 0
    work.msg_len_to_hash_in_bytes = job.clear + job.body + job.extra_octets
    work.auth_tag_output, work.auth_tag_output_len_in_bytes = state.digests[at], DIGEST
    work.inner = <const uint8_t *>state.slot[job.slot].inner
    work.outer = <const uint8_t *>state.slot[job.slot].outer

cdef inline uint8_t settle(Job *job, const IMB_JOB *work, const uint8_t *digest, bint seals) noexcept nogil:
    if work.status != IMB_STATUS_COMPLETED:
        return DROP_CIPHER
    if seals:
        memcpy(job.tag, digest, job.tag_octets)
    elif CRYPTO_memcmp(digest, job.tag, job.tag_octets) != 0:
        return DROP_AUTH_FAIL
    return DROP_NONE

cdef const uint8_t *aad_of(State *state, const Job *job) noexcept nogil:
    """clear || extra in one piece."""
    if job.extra_octets == 0:
        return job.data
    memcpy(state.scratch, job.data, job.clear)
    memcpy(state.scratch + job.clear, job.extra, job.extra_octets)
    return state.scratch

cdef uint8_t gcm_seal(State *state, Job *job) noexcept nogil:
    cdef Slot *slot = &state.slot[job.slot]
    cdef const uint8_t *aad = aad_of(state, job)
    cdef uint8_t *body = job.data + job.clear
    cdef uint8_t tag[16]
    if slot.key_octets == 16:
        IMB_AES128_GCM_ENC(state.manager, slot.gcm, &state.context, body, body, job.body, job.iv, aad,
                           job.clear + job.extra_octets, tag, 16)
    else:
        IMB_AES256_GCM_ENC(state.manager, slot.gcm, &state.context, body, body, job.body, job.iv, aad,
                           job.clear + job.extra_octets, tag, 16)
    memcpy(job.tag, tag, job.tag_octets)
    return DROP_NONE

cdef uint8_t gcm_open(State *state, Job *job) noexcept nogil:
    """Into stream first: nothing is released before the tag verifies (RFC 7714 section 8.4), and what a forged packet
    would have said is wiped."""
    cdef Slot *slot = &state.slot[job.slot]
    cdef const uint8_t *aad = aad_of(state, job)
    cdef uint8_t *body = job.data + job.clear
    cdef uint8_t *plain = state.stream[0]
    cdef uint8_t tag[16]
    if slot.key_octets == 16:
        IMB_AES128_GCM_DEC(state.manager, slot.gcm, &state.context, plain, body, job.body, job.iv, aad,
                           job.clear + job.extra_octets, tag, 16)
    else:
        IMB_AES256_GCM_DEC(state.manager, slot.gcm, &state.context, plain, body, job.body, job.iv, aad,
                           job.clear + job.extra_octets, tag, 16)
    if CRYPTO_memcmp(tag, job.tag, job.tag_octets) != 0:
        OPENSSL_cleanse(plain, job.body)
        return DROP_AUTH_FAIL
    memcpy(body, plain, job.body)
    return DROP_NONE


# --- keys ------------------------------------------------------------------------------------------------------

cdef int prepare(void *state_, uint32_t index, const SessionKeys *keys, bint seals) noexcept nogil:
    cdef State *state = <State *>state_
    cdef Slot *slot = &state.slot[index]
    cdef void *memory = NULL
    if index >= state.slots or keys.cipher > CIPHER_AES_GCM or keys.key_octets % 8 or not 16 <= keys.key_octets <= 32:
        return -EINVAL
    if (keys.cipher == CIPHER_AES_F8 and keys.key_octets != 16) or (keys.cipher == CIPHER_AES_GCM
                                                                    and keys.key_octets == 24):
        return -EINVAL
    forget(state, index)
    slot.key_octets = keys.key_octets
    memcpy(slot.inner, keys.inner, sizeof(slot.inner))
    memcpy(slot.outer, keys.outer, sizeof(slot.outer))
    if keys.cipher == CIPHER_AES_GCM:
        if posix_memalign(&memory, 64, sizeof(gcm_key_data)):
            return -ENOMEM
        slot.gcm = <gcm_key_data *>memory
        if keys.key_octets == 16:
            IMB_AES128_GCM_PRE(state.manager, keys.cipher_key, slot.gcm)
        else:
            IMB_AES256_GCM_PRE(state.manager, keys.cipher_key, slot.gcm)
    elif keys.cipher != CIPHER_NULL:
        expand(state, slot.keys[0], keys.cipher_key, keys.key_octets)
    if keys.cipher == CIPHER_AES_F8:
        prepare_f8(state, slot, keys)
    slot.kind = keys.cipher
    slot.ready = 1
    return 0

cdef void expand(State *state, uint8_t *encrypt, const uint8_t *key, uint32_t octets) noexcept nogil:
    cdef uint8_t room[15 * 16 + 16]             # the library expands for decryption too, and wants both aligned
    cdef uint8_t *decrypt = room + (16 - <size_t>room % 16) % 16
    if octets == 16:
        IMB_AES_KEYEXP_128(state.manager, key, encrypt, decrypt)
    elif octets == 24:
        IMB_AES_KEYEXP_192(state.manager, key, encrypt, decrypt)
    else:
        IMB_AES_KEYEXP_256(state.manager, key, encrypt, decrypt)
    OPENSSL_cleanse(room, sizeof(room))

cdef void prepare_f8(State *state, Slot *slot, const SessionKeys *keys) noexcept nogil:
    """The second key is k_e xor m with m = k_s || 0x55.. (RFC 3711 section 4.1.2.1)."""
    cdef uint8_t masked[16]
    cdef uint32_t i
    for i in range(16):
        masked[i] = keys.cipher_key[i] ^ (keys.salt[i] if i < keys.salt_octets else 0x55)
    expand(state, slot.keys[F8_START], masked, 16)
    OPENSSL_cleanse(masked, sizeof(masked))

cdef void forget(void *state_, uint32_t index) noexcept nogil:
    cdef State *state = <State *>state_
    if index >= state.slots:
        return
    if state.slot[index].gcm != NULL:
        OPENSSL_cleanse(state.slot[index].gcm, sizeof(gcm_key_data))
        free(state.slot[index].gcm)
    OPENSSL_cleanse(&state.slot[index], sizeof(Slot))


# --- process-local state ---------------------------------------------------------------------------------------

cdef void _init_auto(IMB_MGR *manager) noexcept nogil:
    init_mb_mgr_auto(manager, NULL)

cdef IMB_MGR *new_manager() noexcept nogil:
    """NULL: no memory, or the CPU cannot run this code (or only without AES-NI, which is slower than OpenSSL)."""
    cdef IMB_MGR *manager = alloc_mb_mgr(0)
    if manager == NULL:
        return NULL
    if manager.features & IMB_FEATURE_AESNI and manager.features & IMB_FEATURE_PCLMULQDQ:
        _initialise(manager)
        if imb_get_errno(manager) == 0:
            return manager
    free_mb_mgr(manager)
    return NULL

cdef void *create(uint32_t slots) noexcept nogil:
    cdef State *state = <State *>calloc(1, sizeof(State))
    if state == NULL:
        return NULL
    state.manager = new_manager()
    state.slots, state.mapped = slots, <size_t>slots * sizeof(Slot)
    state.slot = <Slot *>slots_map(state.mapped)
    if state.manager == NULL or state.slot == NULL:
        destroy(state)
        return NULL
    return state

cdef void destroy(void *state_) noexcept nogil:
    cdef State *state = <State *>state_
    cdef uint32_t i
    if state == NULL:
        return
    if state.slot != NULL:
        for i in range(state.slots):
            if state.slot[i].ready:             # pages that were never used stay untouched
                forget(state, i)
        slots_unmap(state.slot, state.mapped)
    if state.manager != NULL:
        OPENSSL_cleanse(state.manager, sizeof(IMB_MGR))
        free_mb_mgr(state.manager)
    OPENSSL_cleanse(state, sizeof(State))
    free(state)
