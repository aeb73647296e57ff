# cython: language_level=3
"""The STUN of stun.pxd for Python (tests, tools). A message is a writable buffer: an answer is written over it."""
from kernels.cipher.hmac cimport HmacKey, hmac_key
from kernels.port.address cimport peer_parse
from kernels.wire.crc32 cimport crc32_nibbles, crc32_of


def crc32(const uint8_t[::1] data not None, bint plain=False):
    """The CRC of FINGERPRINT; `plain`: as CPUs without carry-less multiplication compute it."""
    cdef uint32_t octets = <uint32_t>data.shape[0]
    cdef const uint8_t *first = &data[0] if octets else NULL
    return <uint32_t>~crc32_nibbles(0xFFFFFFFF, first, octets) if plain else crc32_of(first, octets)


def parse(const uint8_t[::1] data not None):
    """None: refused. Else type, USERNAME (None: none), whether it has integrity, fingerprint, USE-CANDIDATE, and the
    attributes that had to be understood."""
    cdef StunMessage message
    if data.shape[0] == 0 or not stun_parse(&data[0], <uint32_t>data.shape[0], &message):
        return None
    name = bytes(data[message.username:message.username + message.username_octets])
    return (message.type, name if message.username_octets else None, message.integrity != 0, message.fingerprint != 0,
            bool(message.use_candidate), tuple(message.unknown[i] for i in range(message.unknown_count)))


def fingerprint_ok(const uint8_t[::1] data not None):
    """False also for what does not parse."""
    cdef StunMessage message
    return (data.shape[0] != 0 and stun_parse(&data[0], <uint32_t>data.shape[0], &message)
            and bool(stun_fingerprint_ok(&data[0], &message)))


def signed(uint8_t[::1] data not None, bytes password not None):
    """Whether the message's integrity is this password's; False also for what does not parse."""
    cdef StunMessage message
    cdef HmacKey key
    hmac_key(&key, <const uint8_t *><const char *>password, <uint32_t>len(password))
    return (data.shape[0] != 0 and stun_parse(&data[0], <uint32_t>data.shape[0], &message)
            and bool(stun_signed(&data[0], &message, &key)))


def succeed(uint8_t[::1] data not None, str host, int port, bytes password not None):
    """The success response over a request, None: no room for it in the buffer."""
    cdef HmacKey key
    cdef Peer source = peer_parse(host, port)
    hmac_key(&key, <const uint8_t *><const char *>password, <uint32_t>len(password))
    cdef uint32_t octets = stun_success(&data[0], <uint32_t>data.shape[0], &source, &key)
    return bytes(data[:octets]) if octets else None


def refuse(uint8_t[::1] data not None, uint32_t length, uint32_t code, bytes password):
    """The error response over a request of `length` octets (password None: not signed), None: no room."""
    cdef HmacKey key
    cdef StunMessage message
    if not stun_parse(&data[0], min(length, <uint32_t>data.shape[0]), &message):
        return None
    if password is not None:
        hmac_key(&key, <const uint8_t *><const char *>password, <uint32_t>len(password))
    cdef uint32_t octets = stun_refuse(&data[0], <uint32_t>data.shape[0], code, &message,
                                       &key if password is not None else NULL)
    return bytes(data[:octets]) if octets else None
