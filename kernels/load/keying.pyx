# cython: language_level=3
"""Keys of load endpoints into their engine."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from kernels.clib.openssl cimport OPENSSL_cleanse
from kernels.load.keying cimport Keying
from kernels.srtp.context cimport MAX_MKI, CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.engine cimport engine_attach, engine_detach, engine_footprint, engine_install


cdef keying_attach(Keying *keying, uint32_t endpoints):
    cdef EngineSizes sizes
    cdef int error
    cdef size_t octets
    if keying.memory != NULL:
        return
    sizes.cryptos = sizes.keys = 2 * endpoints
    sizes.streams = 2 * sizes.cryptos
    octets = engine_footprint(&sizes)
    if posix_memalign(&keying.memory, 4096, octets):
        raise MemoryError
    memset(keying.memory, 0, octets)
    error = engine_attach(&keying.engine, keying.memory, &sizes, True)
    if error:
        free(keying.memory)
        keying.memory = NULL
        raise OSError(-error, "engine_attach")


cdef keying_install(Keying *keying, uint32_t slot, transform, key, uint16_t flags):
    cdef CryptoParameters parameters
    cdef MasterKey master
    cdef int error
    cdef bytes secret = key.key, salt = key.salt, mki = key.mki
    if len(secret) != transform.key_octets or len(salt) != transform.salt_octets or len(mki) > MAX_MKI:
        raise ValueError("key, salt or MKI have the wrong length")
    memset(&parameters, 0, sizeof(CryptoParameters))
    memset(&master, 0, sizeof(MasterKey))
    parameters.cipher, parameters.auth = transform.cipher_kind, transform.auth_kind
    parameters.key_octets, parameters.salt_octets = transform.key_octets, transform.salt_octets
    parameters.rtp_tag, parameters.rtcp_tag = transform.rtp_tag, transform.rtcp_tag
    parameters.mki_octets, parameters.kdr_log2 = len(mki), 255
    parameters.window, parameters.flags, parameters.ssrc_limit = 1024, flags, 2
    memcpy(master.key, <const uint8_t *>secret, len(secret))
    memcpy(master.salt, <const uint8_t *>salt, len(salt))
    memcpy(master.mki, <const uint8_t *>mki, len(mki))
    error = engine_install(&keying.engine, slot, &parameters, &master)
    OPENSSL_cleanse(&master, sizeof(MasterKey))
    if error:
        raise OSError(-error, "engine_install")


cdef void keying_free(Keying *keying) noexcept:
    if keying.memory != NULL:
        engine_detach(&keying.engine)
    free(keying.memory)
    keying.memory = NULL
