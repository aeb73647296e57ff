from enum import IntEnum

class CipherKind(IntEnum):
    CIPHER_NULL = 0
    CIPHER_AES_CM = 1
    CIPHER_AES_F8 = 2
    CIPHER_AES_GCM = 3

class AuthKind(IntEnum):
    AUTH_NONE = 0
    AUTH_HMAC_SHA1 = 1
