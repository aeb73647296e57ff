# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What the engine costs per packet: whole seal and open, in place, batch by batch, without the GIL.

A pass is a ring's worth of packets: 1,024 are laid out in their frames, all are sealed (timed), all are opened (timed).
Contexts come in an order that no prefetcher foresees, the same in every pass, as the calls of a gateway do; the 64 of
a batch are different ones where there are as many.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from kernels.clib.datagrams cimport CLOCK_MONOTONIC, clock_ns
from kernels.clib.pages cimport pages_free, pages_new
from kernels.srtp.context cimport CRYPTO_SEND, CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.engine cimport (
    engine_attach, engine_detach, engine_footprint, engine_install, engine_open, engine_seal,
)
from kernels.srtp.tables cimport Engine
from kernels.wire.octets cimport store_be16, store_be32
from kernels.wire.packet cimport BATCH, DATAGRAM, DROP_NONE, FRAME, HEADROOM, KIND_RTP, Packet

from kernels.cipher import select as _select

cdef extern from * nogil:
    """
    #include <stdint.h>
    /* 64 additions that wait for each other; the compiler sees none of them. One cycle each on any CPU of today. */
    static uint64_t chain_of_64(uint64_t x, uint64_t y) {
    #define ADD_8 __asm__ volatile("" : "+r"(x)); x += y; __asm__ volatile("" : "+r"(x)); x += y; \
                  __asm__ volatile("" : "+r"(x)); x += y; __asm__ volatile("" : "+r"(x)); x += y; \
                  __asm__ volatile("" : "+r"(x)); x += y; __asm__ volatile("" : "+r"(x)); x += y; \
                  __asm__ volatile("" : "+r"(x)); x += y; __asm__ volatile("" : "+r"(x)); x += y;
        ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8 ADD_8
    #undef ADD_8
        return x;
    }
    """
    uint64_t chain_of_64(uint64_t x, uint64_t y) noexcept

cdef enum:
    PASS = 1024                     # packets and frames of one pass
    # Packets of each context before time is taken: a call has thousands. The first makes its SSRC known and touches its
    # pages, the second takes lifetime for those that follow.
    WARM = 3


cdef struct Meter:
    Engine engine
    void *memory
    uint64_t octets
    uint8_t *frames
    uint32_t *order                 # contexts as they take turns
    Packet packets[1024]
    Packet *batch[1024]
    uint32_t contexts
    uint32_t payload
    uint64_t number                 # packets laid out so far
    uint64_t failed


cdef void lay_out(Meter *meter) noexcept nogil:
    """A plain RTP packet in every frame, of the contexts whose turn it is."""
    cdef uint32_t n
    cdef uint8_t *data
    for n in range(PASS):
        data = meter.frames + n * FRAME + HEADROOM
        memset(data, 0xD5, 12 + meter.payload)
        data[0] = 0x80
        store_be16(data + 2, <uint16_t>(meter.number // meter.contexts))
        store_be32(data + 8, 1)
        meter.packets[n].data = data
        meter.packets[n].length = 12 + meter.payload
        meter.packets[n].capacity = FRAME - HEADROOM
        meter.packets[n].kind = KIND_RTP
        meter.packets[n].drop = DROP_NONE
        meter.packets[n].crypto = 2 * meter.order[meter.number % meter.contexts]
        meter.number += 1

cdef void go_round(Meter *meter, double *seal_ns, double *open_ns) noexcept nogil:
    cdef uint64_t begin, end
    cdef uint32_t n
    lay_out(meter)
    begin = clock_ns(CLOCK_MONOTONIC)
    for n in range(PASS // BATCH):
        engine_seal(&meter.engine, &meter.batch[n * BATCH], BATCH)
    end = clock_ns(CLOCK_MONOTONIC)
    seal_ns[0] = (end - begin) / <double>PASS
    for n in range(PASS):
        meter.packets[n].crypto += 1
    begin = clock_ns(CLOCK_MONOTONIC)
    for n in range(PASS // BATCH):
        engine_open(&meter.engine, &meter.batch[n * BATCH], BATCH)
    end = clock_ns(CLOCK_MONOTONIC)
    open_ns[0] = (end - begin) / <double>PASS
    for n in range(PASS):
        meter.failed += meter.packets[n].drop != DROP_NONE


def measure(transform, uint32_t contexts, uint32_t payload, uint64_t packets, backend=None):
    cdef Meter *meter
    cdef double seal_ns, open_ns
    sealed, opened = [], []
    if contexts == 0 or payload > DATAGRAM - 12:
        raise ValueError("no contexts, or packets of more than a datagram")
    meter = <Meter *>calloc(1, sizeof(Meter))
    if meter == NULL:
        raise MemoryError
    try:
        set_up(meter, transform, contexts, payload, backend)
        while meter.number < WARM * contexts:
            with nogil:
                go_round(meter, &seal_ns, &open_ns)
        while not sealed or PASS * len(sealed) < packets:
            with nogil:
                go_round(meter, &seal_ns, &open_ns)
            sealed.append(seal_ns)
            opened.append(open_ns)
        if meter.failed:
            raise RuntimeError(f"{meter.failed} packets failed")
        return sorted(sealed)[len(sealed) // 2], sorted(opened)[len(opened) // 2]
    finally:
        tear_down(meter)


def core_ghz():
    cdef uint64_t begin, end, sum_ = 0
    cdef uint32_t _n
    fastest = 0.0
    for _ in range(20):                         # 20 x about 18 us: the fastest was not interrupted
        with nogil:
            begin = clock_ns(CLOCK_MONOTONIC)
            for _n in range(1024):
                sum_ = chain_of_64(sum_, begin)
            end = clock_ns(CLOCK_MONOTONIC)
        fastest = max(fastest, 64 * 1024 / <double>(end - begin))
    return fastest


cdef set_up(Meter *meter, transform, uint32_t contexts, uint32_t payload, backend):
    cdef EngineSizes sizes
    cdef uint32_t n
    cdef int error
    sizes.cryptos = sizes.keys = sizes.streams = 2 * contexts
    meter.contexts, meter.payload = contexts, payload
    meter.octets = engine_footprint(&sizes)
    meter.memory = pages_new(meter.octets)
    meter.frames = <uint8_t *>pages_new(PASS * FRAME)
    meter.order = <uint32_t *>calloc(contexts, sizeof(uint32_t))
    if meter.memory == NULL or meter.frames == NULL or meter.order == NULL:
        raise MemoryError
    for n in range(PASS):
        meter.batch[n] = &meter.packets[n]
    shuffle(meter.order, contexts)
    before = _select.selected()
    try:
        if backend is not None:
            _select.select(backend)
        error = engine_attach(&meter.engine, meter.memory, &sizes, True)
    finally:
        if backend is not None and before is not None:
            _select.select(before)
    if error:
        raise OSError(-error, "engine_attach")
    install(meter, transform)

cdef void tear_down(Meter *meter) noexcept:
    if meter.engine.header != NULL:
        engine_detach(&meter.engine)
    pages_free(meter.memory, meter.octets)
    pages_free(meter.frames, PASS * FRAME)
    free(meter.order)
    free(meter)

cdef void shuffle(uint32_t *order, uint32_t count) noexcept nogil:
    """A permutation of 0..count-1, the same every time (Fisher and Yates, numbers from xorshift64)."""
    cdef uint64_t state = 1
    cdef uint32_t i, j
    for i in range(count):
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        j = <uint32_t>((state >> 33) % (i + 1))
        order[i] = order[j]
        order[j] = i

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
