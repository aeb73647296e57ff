# libcrypto, only the calls we use. Links through the libcrypto dependency of kernels/meson.build.
from libc.stddef cimport size_t

cdef extern from "openssl/crypto.h" nogil:
    void OPENSSL_cleanse(void *ptr, size_t len) noexcept
    int CRYPTO_memcmp(const void *a, const void *b, size_t len) noexcept     # constant time; 0: equal

cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    enum:
        EVP_CTRL_AEAD_SET_IVLEN
        EVP_CTRL_AEAD_GET_TAG
        EVP_CTRL_AEAD_SET_TAG

    EVP_CIPHER *EVP_CIPHER_fetch(void *library, const char *algorithm, const char *properties) noexcept
    void EVP_CIPHER_free(EVP_CIPHER *cipher) noexcept
    EVP_CIPHER_CTX *EVP_CIPHER_CTX_new() noexcept
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx) noexcept
    int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *ctx, int pad) noexcept
    int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr) noexcept
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, void *engine,
                           const unsigned char *key, const unsigned char *iv) noexcept
    int EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
                          const unsigned char *data, int length) noexcept
    int EVP_EncryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl) noexcept
    int EVP_DecryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, void *engine,
                           const unsigned char *key, const unsigned char *iv) noexcept
    int EVP_DecryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl,
                          const unsigned char *data, int length) noexcept
    int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl) noexcept

cdef extern from "openssl/sha.h" nogil:
    ctypedef struct SHA_CTX:            # public layout: the saved HMAC states are its h0..h4
        unsigned int h0
        unsigned int h1
        unsigned int h2
        unsigned int h3
        unsigned int h4
        unsigned int Nl
        unsigned int Nh
        unsigned int num

    int SHA1_Init(SHA_CTX *c) noexcept
    int SHA1_Update(SHA_CTX *c, const void *data, size_t len) noexcept
    int SHA1_Final(unsigned char *md, SHA_CTX *c) noexcept
    void SHA1_Transform(SHA_CTX *c, const unsigned char *data) noexcept
