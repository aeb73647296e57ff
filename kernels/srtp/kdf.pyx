# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Key derivation with the AES-CM PRF of the master key's own length (RFC 3711 section 4.3.3, RFC 6188 section 3.1)."""
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from kernels.cipher.hmac cimport hmac_prepare
from kernels.clib.openssl cimport (
    EVP_CIPHER_CTX_free, EVP_CIPHER_CTX_new, EVP_CIPHER_fetch, EVP_CIPHER_free, EVP_EncryptInit_ex, EVP_EncryptUpdate,
    OPENSSL_cleanse,
)
from kernels.srtp.context cimport AUTH_HMAC_SHA1, CRYPTO_LEGACY_192


cdef bint derive(Deriver *deriver, const CryptoParameters *parameters, const uint8_t *key, const uint8_t *salt,
                 bint rtcp, uint64_t epoch, SessionKeys *out) noexcept nogil:
    cdef uint8_t base = LABEL_RTCP if rtcp else 0
    cdef uint8_t auth_key[AUTH_KEY]
    cdef uint8_t legacy[48]
    cdef uint8_t key_octets = parameters.key_octets, prf_octets = parameters.key_octets
    cdef bint done
    out.ready = 0
    memset(out.salt, 0, sizeof(out.salt))
    if parameters.flags & CRYPTO_LEGACY_192:        # they read 32 octets of key, so 8 of salt, and zeros follow
        memset(legacy, 0, sizeof(legacy))
        memcpy(legacy, key, 24)
        memcpy(legacy + 24, salt, 14)
        key, salt, prf_octets = legacy, legacy + 32, 32
    done = (derive_label(deriver, key, prf_octets, salt, base + LABEL_CIPHER, epoch, out.cipher_key, key_octets)
            and derive_label(deriver, key, prf_octets, salt, base + LABEL_SALT, epoch,
                             out.salt, parameters.salt_octets)
            and derive_label(deriver, key, prf_octets, salt, base + LABEL_AUTH, epoch, auth_key, AUTH_KEY))
    OPENSSL_cleanse(legacy, sizeof(legacy))
    if done and parameters.auth == AUTH_HMAC_SHA1:
        hmac_prepare(out, auth_key, AUTH_KEY)
    OPENSSL_cleanse(auth_key, sizeof(auth_key))
    out.cipher, out.auth = parameters.cipher, parameters.auth
    out.key_octets, out.salt_octets = key_octets, parameters.salt_octets
    out.epoch = epoch
    out.ready = done
    return done

cdef bint derive_label(Deriver *deriver, const uint8_t *key, uint32_t key_octets, const uint8_t *salt,
                       uint8_t label, uint64_t epoch, uint8_t *out, uint32_t octets) noexcept nogil:
    """PRF(k_master, x) with x = key_id xor master_salt, key_id = label || r, r of 48 bits for SRTCP as well: section
    4.3.2 would move the label with a 32-bit r, but every implementation keeps it in octet 7. `salt` is 14 octets,
    a 12-octet GCM salt with zeros after it (RFC 7714 section 11 leaves the side open; libsrtp, rtpengine do this)."""
    cdef uint8_t block[16]
    cdef int done = 0
    cdef uint32_t i
    memcpy(block, salt, 14)
    block[14] = block[15] = 0
    block[7] ^= label
    for i in range(6):
        block[13 - i] ^= <uint8_t>(epoch >> (8 * i))
    memset(out, 0, octets)
    if EVP_EncryptInit_ex(deriver.context, deriver.ciphers[key_octets // 8 - 2], NULL, key, block) != 1:
        return False
    return EVP_EncryptUpdate(deriver.context, out, &done, out, <int>octets) == 1

cdef Deriver *deriver_new() noexcept nogil:
    cdef Deriver *deriver = <Deriver *>calloc(1, sizeof(Deriver))
    if deriver == NULL:
        return NULL
    deriver.context = EVP_CIPHER_CTX_new()
    deriver.ciphers[0] = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL)
    deriver.ciphers[1] = EVP_CIPHER_fetch(NULL, "AES-192-CTR", NULL)
    deriver.ciphers[2] = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL)
    if (deriver.context == NULL or deriver.ciphers[0] == NULL or deriver.ciphers[1] == NULL
            or deriver.ciphers[2] == NULL):
        deriver_free(deriver)
        return NULL
    return deriver

cdef void deriver_free(Deriver *deriver) noexcept nogil:
    cdef uint32_t i
    if deriver == NULL:
        return
    EVP_CIPHER_CTX_free(deriver.context)
    for i in range(3):
        EVP_CIPHER_free(deriver.ciphers[i])
    free(deriver)


def session_key(const uint8_t[::1] key not None, const uint8_t[::1] salt not None, int label, int octets,
                unsigned long long epoch=0):
    """`octets` octets derived under `label` (0..255), for tests and tools. key: 16, 24 or 32 octets, salt: 12 or 14.

    ValueError on other lengths, RuntimeError when libcrypto fails.
    """
    if key.shape[0] not in (16, 24, 32) or salt.shape[0] not in (12, 14):
        raise ValueError("key of 16, 24 or 32 octets, salt of 12 or 14")
    if not 1 <= octets <= 1024 or not 0 <= label < 256:
        raise ValueError("1..1024 octets, label 0..255")
    cdef uint8_t padded[14]
    cdef bytearray out = bytearray(octets)
    cdef Deriver *deriver = deriver_new()
    cdef bint done = False
    memset(padded, 0, 14)
    memcpy(padded, &salt[0], salt.shape[0])
    if deriver != NULL:
        done = derive_label(deriver, &key[0], <uint32_t>key.shape[0], padded, <uint8_t>label, epoch,
                            <uint8_t *>out, <uint32_t>octets)
    deriver_free(deriver)
    OPENSSL_cleanse(padded, sizeof(padded))
    if not done:
        raise RuntimeError("libcrypto: AES-CTR failed")
    return bytes(out)
