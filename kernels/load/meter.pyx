# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the engine costs per packet: whole seal and open, in place, batch by batch, without the GIL."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset
from posix.stdlib cimport posix_memalign

from kernels.clib.datagrams cimport CLOCK_MONOTONIC, clock_ns, htons
from kernels.srtp.context cimport CRYPTO_SEND, CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.engine cimport (
    engine_attach, engine_detach, engine_footprint, engine_install, engine_open, engine_seal,
)
from kernels.srtp.tables cimport Engine
from kernels.wire.octets cimport store_be32
from kernels.wire.packet cimport BATCH, DROP_NONE, FRAME, HEADROOM, KIND_RTP, Packet


cdef struct Meter:
    Engine engine
    uint8_t *frames
    Packet packets[64]
    Packet *batch[64]
    uint32_t contexts
    uint32_t payload
    uint64_t number
    uint64_t seal_ns
    uint64_t open_ns
    uint64_t failed


cdef void prepare(Meter *meter) noexcept nogil:
    """A batch of RTP packets, one context after the other."""
    cdef uint32_t n
    cdef uint8_t *data
    for n in range(BATCH):
        data = meter.frames + n * FRAME + HEADROOM
        memset(data, 0, 12)
        data[0] = 0x80
        (<uint16_t *>(data + 2))[0] = htons(<uint16_t>(meter.number // meter.contexts))
        store_be32(data + 8, 1)
        meter.packets[n].data = data
        meter.packets[n].length = 12 + meter.payload
        meter.packets[n].capacity = FRAME - HEADROOM
        meter.packets[n].kind = KIND_RTP
        meter.packets[n].drop = DROP_NONE
        meter.packets[n].crypto = 2 * <uint32_t>(meter.number % meter.contexts)
        meter.number += 1

cdef void go_round(Meter *meter) noexcept nogil:
    cdef uint64_t begin, sealed
    cdef uint32_t n
    prepare(meter)
    begin = clock_ns(CLOCK_MONOTONIC)
    engine_seal(&meter.engine, meter.batch, BATCH)
    sealed = clock_ns(CLOCK_MONOTONIC)
    for n in range(BATCH):
        meter.packets[n].crypto += 1
    meter.seal_ns += sealed - begin
    begin = clock_ns(CLOCK_MONOTONIC)
    engine_open(&meter.engine, meter.batch, BATCH)
    meter.open_ns += clock_ns(CLOCK_MONOTONIC) - begin
    for n in range(BATCH):
        meter.failed += meter.packets[n].drop != DROP_NONE


def measure(transform, uint32_t contexts, uint32_t payload, uint64_t packets):
    cdef Meter *meter = <Meter *>calloc(1, sizeof(Meter))
    cdef EngineSizes sizes
    cdef void *memory = NULL
    cdef uint32_t n
    if meter == NULL:
        raise MemoryError
    sizes.cryptos = sizes.keys = sizes.streams = 2 * contexts
    meter.contexts, meter.payload = contexts, payload
    try:
        if posix_memalign(&memory, 4096, engine_footprint(&sizes)):
            raise MemoryError
        memset(memory, 0, engine_footprint(&sizes))
        meter.frames = <uint8_t *>calloc(BATCH, FRAME)
        for n in range(BATCH):
            meter.batch[n] = &meter.packets[n]
        if meter.frames == NULL or engine_attach(&meter.engine, memory, &sizes, True):
            raise MemoryError
        install(meter, transform)
        with nogil:
            while meter.number < packets:
                go_round(meter)
        engine_detach(&meter.engine)
        if meter.failed:
            raise RuntimeError(f"{meter.failed} packets failed")
        return meter.seal_ns / <double>meter.number, meter.open_ns / <double>meter.number
    finally:
        free(meter.frames)
        free(memory)
        free(meter)


cdef install(Meter *meter, transform):
    """Contexts in pairs: sender and receiver with one key."""
    cdef CryptoParameters parameters
    cdef MasterKey key
    cdef uint32_t slot
    memset(&parameters, 0, sizeof(parameters))
    memset(&key, 0, sizeof(key))
    parameters.cipher, parameters.auth = transform.cipher_kind, transform.auth_kind
    parameters.key_octets, parameters.salt_octets = transform.key_octets, transform.salt_octets
    parameters.rtp_tag, parameters.rtcp_tag = transform.rtp_tag, transform.rtcp_tag
    parameters.kdr_log2, parameters.window, parameters.ssrc_limit = 255, 128, 1
    for slot in range(2 * meter.contexts):
        parameters.flags = 0 if slot & 1 else CRYPTO_SEND
        store_be32(key.key, slot >> 1)
        if engine_install(&meter.engine, slot, &parameters, &key):
            raise ValueError("engine_install")
