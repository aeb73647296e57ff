# Intel's multi-buffer library (libipsec-mb 1.3), only the calls we use. amd64 only; linked where meson finds it.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #define NO_COMPAT_IMB_API_053 1     /* its old short names (SHA1, CBC) are other things in <openssl/sha.h> */
    #include <intel-ipsec-mb.h>
    """
    enum:
        IMB_CIPHER_CBC
        IMB_CIPHER_CNTR
        IMB_DIR_ENCRYPT
        IMB_AUTH_HMAC_SHA_1
        IMB_STATUS_COMPLETED
        IMB_ARCH_SSE
        IMB_ARCH_AVX
        IMB_ARCH_AVX2
        IMB_ARCH_AVX512
        IMB_FEATURE_AESNI
        IMB_FEATURE_PCLMULQDQ

    ctypedef struct IMB_MGR:
        uint64_t features
        uint32_t used_arch

    ctypedef struct IMB_JOB:
        const void *enc_keys
        uint64_t key_len_in_bytes
        const uint8_t *src
        uint8_t *dst
        uint64_t cipher_start_src_offset_in_bytes
        uint64_t msg_len_to_cipher_in_bytes
        uint64_t hash_start_src_offset_in_bytes
        uint64_t msg_len_to_hash_in_bytes
        const uint8_t *iv
        uint64_t iv_len_in_bytes
        uint8_t *auth_tag_output
        uint64_t auth_tag_output_len_in_bytes
        const uint8_t *inner "u.HMAC._hashed_auth_key_xor_ipad"
        const uint8_t *outer "u.HMAC._hashed_auth_key_xor_opad"
        int status

    cdef struct gcm_key_data:           # to be aligned to 64 by hand
        pass
    cdef struct gcm_context_data:
        pass

    IMB_MGR *alloc_mb_mgr(uint64_t flags) noexcept
    void free_mb_mgr(IMB_MGR *mgr) noexcept
    void init_mb_mgr_auto(IMB_MGR *mgr, void *arch) noexcept
    void init_mb_mgr_sse(IMB_MGR *mgr) noexcept
    void init_mb_mgr_avx(IMB_MGR *mgr) noexcept
    void init_mb_mgr_avx2(IMB_MGR *mgr) noexcept
    void init_mb_mgr_avx512(IMB_MGR *mgr) noexcept
    int imb_get_errno(IMB_MGR *mgr) noexcept

    # All jobs of a burst have one cipher, direction and key length; done when they return. No check of the arguments.
    uint32_t IMB_SUBMIT_CIPHER_BURST_NOCHECK(IMB_MGR *mgr, IMB_JOB *jobs, uint32_t count, int cipher, int direction,
                                             int key_octets) noexcept
    uint32_t IMB_SUBMIT_HASH_BURST_NOCHECK(IMB_MGR *mgr, IMB_JOB *jobs, uint32_t count, int hash) noexcept

    void IMB_AES_KEYEXP_128(IMB_MGR *mgr, const void *key, void *encrypt, void *decrypt) noexcept
    void IMB_AES_KEYEXP_192(IMB_MGR *mgr, const void *key, void *encrypt, void *decrypt) noexcept
    void IMB_AES_KEYEXP_256(IMB_MGR *mgr, const void *key, void *encrypt, void *decrypt) noexcept

    void IMB_AES128_GCM_PRE(IMB_MGR *mgr, const void *key, gcm_key_data *expanded) noexcept
    void IMB_AES256_GCM_PRE(IMB_MGR *mgr, const void *key, gcm_key_data *expanded) noexcept
    void IMB_AES128_GCM_ENC(IMB_MGR *mgr, const gcm_key_data *key, gcm_context_data *context, uint8_t *out,
                            const uint8_t *data, uint64_t octets, const uint8_t *iv, const uint8_t *aad,
                            uint64_t aad_octets, uint8_t *tag, uint64_t tag_octets) noexcept
    void IMB_AES256_GCM_ENC(IMB_MGR *mgr, const gcm_key_data *key, gcm_context_data *context, uint8_t *out,
                            const uint8_t *data, uint64_t octets, const uint8_t *iv, const uint8_t *aad,
                            uint64_t aad_octets, uint8_t *tag, uint64_t tag_octets) noexcept
    void IMB_AES128_GCM_DEC(IMB_MGR *mgr, const gcm_key_data *key, gcm_context_data *context, uint8_t *out,
                            const uint8_t *data, uint64_t octets, const uint8_t *iv, const uint8_t *aad,
                            uint64_t aad_octets, uint8_t *tag, uint64_t tag_octets) noexcept
    void IMB_AES256_GCM_DEC(IMB_MGR *mgr, const gcm_key_data *key, gcm_context_data *context, uint8_t *out,
                            const uint8_t *data, uint64_t octets, const uint8_t *iv, const uint8_t *aad,
                            uint64_t aad_octets, uint8_t *tag, uint64_t tag_octets) noexcept
