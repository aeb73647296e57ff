# cython: language_level=3
"""One job through a back end from Python, with session keys and IV given: the published vectors drive each back end
by this. And a back end with a fault that the batch test has to notice."""
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from kernels.cipher.backend cimport Backend
from kernels.cipher.batchtest cimport batch_agrees as _batch_agrees
from kernels.cipher.hmac cimport hmac_prepare
from kernels.cipher.job cimport Job, SessionKeys
from kernels.cipher.select cimport backend_named
from kernels.srtp.context cimport AUTH_HMAC_SHA1, AUTH_NONE
from kernels.wire.packet cimport DROP_AUTH_FAIL, DROP_NONE

from kernels.srtp.context import CipherKind as _CipherKind
from kernels.wire.packet import Drop as _Drop


def seal(backend: str, cipher: str, bytes key not None, bytes iv not None, bytes clear not None, bytes body not None, *,
         bytes salt=b"", bytes extra=b"", bytes auth_key=b"", int tag_octets=0):
    """(sealed body, tag). cipher: CipherKind without prefix; iv: 12 or 16 octets; extra: 0 or 4; auth_key: up to 64."""
    return _run(backend, cipher, key, iv, clear, body, salt, extra, auth_key, bytes(tag_octets), True)


def open(backend: str, cipher: str, bytes key not None, bytes iv not None, bytes clear not None, bytes body not None,
         bytes tag not None, *, bytes salt=b"", bytes extra=b"", bytes auth_key=b""):
    """The opened body, or (Drop, octets of the packet as open left them)."""
    return _run(backend, cipher, key, iv, clear, body, salt, extra, auth_key, tag, False)


cdef object _run(str name, str cipher, bytes key, bytes iv, bytes clear, bytes body, bytes salt, bytes extra,
                 bytes auth_key, bytes tag, bint seals):
    cdef const Backend *backend = backend_named(name)
    cdef SessionKeys keys
    cdef Job job
    cdef Job *jobs = &job
    cdef bytearray data = bytearray(clear + body)
    cdef bytearray room = bytearray(tag + bytes(20))
    cdef void *state
    if len(key) > 32 or len(salt) > 16 or len(iv) > 16 or len(extra) > 4 or len(auth_key) > 64 or len(tag) > 20:
        raise ValueError("a part is too long")
    if not data:
        raise ValueError("the packet is empty")
    memset(&keys, 0, sizeof(keys))
    memset(&job, 0, sizeof(job))
    keys.cipher, keys.auth = _CipherKind[f"CIPHER_{cipher}"], AUTH_HMAC_SHA1 if auth_key else AUTH_NONE
    keys.key_octets, keys.salt_octets = len(key), len(salt)
    memcpy(keys.cipher_key, <const uint8_t *>key, len(key))
    memcpy(keys.salt, <const uint8_t *>salt, len(salt))
    hmac_prepare(&keys, <const uint8_t *>auth_key, <uint32_t>len(auth_key))
    memcpy(job.iv, <const uint8_t *>iv, len(iv))
    memcpy(job.extra, <const uint8_t *>extra, len(extra))
    job.data, job.tag, job.keys = <uint8_t *>data, <uint8_t *>room, &keys
    job.clear, job.body, job.tag_octets, job.extra_octets = len(clear), len(body), len(tag), len(extra)
    state = backend.create(1)
    if state == NULL:
        raise MemoryError
    try:
        if backend.prepare(state, 0, &keys, seals) != 0:
            raise ValueError("the back end refuses these keys")
        if seals:
            backend.seal(state, &jobs, 1)
        else:
            backend.open(state, &jobs, 1)
    finally:
        backend.destroy(state)
    if job.drop != DROP_NONE:
        return _Drop(job.drop), bytes(data)
    return (bytes(data[len(clear):]), bytes(room[:len(tag)])) if seals else bytes(data[len(clear):])


# --- a back end with a fault ---

cdef const Backend *_honest = NULL
cdef int _wrong_seal = -1
cdef int _wrong_verdict = -1

cdef void _faulty_seal(void *state, Job **jobs, uint32_t count) noexcept nogil:
    _honest.seal(state, jobs, count)
    if 0 <= _wrong_seal < <int>count:
        jobs[_wrong_seal].data[jobs[_wrong_seal].clear] ^= 1

cdef void _faulty_open(void *state, Job **jobs, uint32_t count) noexcept nogil:
    _honest.open(state, jobs, count)
    if 0 <= _wrong_verdict < <int>count:
        jobs[_wrong_verdict].drop ^= DROP_AUTH_FAIL


def batch_agrees(backend: str, *, int wrong_seal=-1, int wrong_verdict=-1):
    """The batch test of a back end that gets this job of a batch wrong (-1: none)."""
    global _honest, _wrong_seal, _wrong_verdict
    cdef Backend faulty
    _honest, _wrong_seal, _wrong_verdict = backend_named(backend), wrong_seal, wrong_verdict
    memcpy(&faulty, _honest, sizeof(Backend))
    faulty.seal, faulty.open = &_faulty_seal, &_faulty_open
    return bool(_batch_agrees(&faulty, backend_named("openssl")))
