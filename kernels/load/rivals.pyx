# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Engines of several cipher back ends through the same impaired traffic: they must not differ in any octet or verdict.

    compose a batch -> every engine protects it -> alike? -> into the pool, but for what is lost
    take a batch out of the pool: in any order, some twice, some spoilt or cut -> every engine judges -> alike?

Octets tampered with go round every position. At the end the engines' memory must be the same.
"""
from collections import namedtuple

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from kernels.clib.pages cimport pages_free, pages_new
from kernels.srtp.context cimport CRYPTO_SEND, CryptoParameters, EngineSizes, MasterKey
from kernels.srtp.engine cimport (
    engine_attach, engine_detach, engine_footprint, engine_install, engine_open, engine_seal,
)
from kernels.srtp.tables cimport Engine
from kernels.wire.octets cimport store_be16, store_be32
from kernels.wire.packet cimport BATCH, DROP_COUNT, DROP_NONE, FRAME, HEADROOM, KIND_RTCP, KIND_RTP, Packet

from kernels.cipher import select as _select
from kernels.wire.packet import Drop as _Drop

cdef enum:
    MOST_RIVALS = 4
    MOST_CONTEXTS = 256
    SSRCS = 2
    VARIANTS = 4                    # of each suite: plain, with MKI, wide window, with a key derivation rate
    POOL = 192
    ROOM = FRAME - HEADROOM

cdef struct Waiting:                # a protected packet on its way
    uint8_t data[ROOM]
    uint32_t length
    uint32_t context
    uint8_t kind
    uint8_t passed
    uint8_t leaves

cdef struct Arrival:                # what became of it
    Waiting *of
    uint8_t forged
    uint8_t copies

cdef struct Rival:
    Engine engine
    void *memory
    uint64_t octets
    uint8_t *frames
    Packet packets[BATCH]
    Packet *batch[BATCH]

cdef struct Contest:
    Rival rivals[MOST_RIVALS]
    uint32_t count
    uint32_t contexts
    uint32_t suites
    uint64_t chance
    uint64_t now_ns
    uint64_t batches
    uint64_t fault                  # number of the batch that the last rival gets wrong; 0: none
    uint64_t position               # of the next octet to tamper with
    uint16_t sequence[MOST_CONTEXTS][SSRCS]
    uint8_t tagged[MOST_CONTEXTS]
    Waiting pool[POOL]
    uint32_t waiting
    Arrival arrivals[BATCH]
    uint64_t sealed
    uint64_t arrived
    uint64_t forged
    uint64_t copies
    uint64_t wraps
    uint64_t forged_passed
    uint64_t passed_twice
    uint64_t verdicts[DROP_COUNT]

Outcome = namedtuple("Outcome", "sealed arrived forged copies wraps verdicts forged_passed passed_twice")


def contest(backends, transforms, uint64_t seed, uint64_t packets, *, uint64_t fault=0):
    cdef Contest *c
    cdef int where = -1
    if not 2 <= len(backends) <= MOST_RIVALS or not 0 < len(transforms) * VARIANTS <= MOST_CONTEXTS:
        raise ValueError("two to four back ends; one to 64 suites")
    c = <Contest *>calloc(1, sizeof(Contest))
    if c == NULL:
        raise MemoryError
    try:
        set_up(c, backends, transforms, seed)
        c.fault = fault
        with nogil:
            while where < 0 and c.sealed < packets:
                where = one_round(c)
        if where >= 0:
            raise RuntimeError(difference(c, <uint32_t>where, backends))
        for n in range(1, len(backends)):
            if memcmp(c.rivals[0].memory, c.rivals[<uint32_t>n].memory, c.rivals[0].octets) != 0:
                raise RuntimeError(f"{backends[0]} and {backends[n]} leave another state behind")
        verdicts = {_Drop(n).name: c.verdicts[<uint32_t>n] for n in range(DROP_COUNT) if c.verdicts[<uint32_t>n]}
        return Outcome(c.sealed, c.arrived, c.forged, c.copies, c.wraps, verdicts, c.forged_passed, c.passed_twice)
    finally:
        tear_down(c)


# --- a round ---------------------------------------------------------------------------------------------------

cdef int one_round(Contest *c) noexcept nogil:
    """-1, or the packet of the batch in which the rivals differ."""
    cdef uint32_t n, count = 1 + below(c, BATCH)
    cdef int where
    c.now_ns += 1000000
    for n in range(count):
        compose(c, n)
    where = all_alike(c, count, True)
    if where >= 0:
        return where
    keep(c, count)
    while c.waiting > POOL - BATCH or (c.waiting and below(c, 3)):
        count = 1 + below(c, BATCH)
        for n in range(count):
            take(c, n)
        where = all_alike(c, count, False)
        if where >= 0:
            return where
        judge(c, count)
    return -1

cdef int all_alike(Contest *c, uint32_t count, bint seal) noexcept nogil:
    """The first rival's frames hold the batch; the others get copies."""
    cdef uint32_t r, n
    for r in range(1, c.count):
        memcpy(c.rivals[r].frames, c.rivals[0].frames, count * FRAME)
        for n in range(count):
            c.rivals[r].packets[n] = c.rivals[0].packets[n]
            c.rivals[r].packets[n].data = c.rivals[r].frames + n * FRAME + HEADROOM
    for r in range(c.count):
        if seal:
            engine_seal(&c.rivals[r].engine, c.rivals[r].batch, count)
        else:
            engine_open(&c.rivals[r].engine, c.rivals[r].batch, count)
    c.batches += 1
    if c.batches == c.fault:
        c.rivals[c.count - 1].packets[count - 1].data[0] ^= 1
    for n in range(count):
        for r in range(1, c.count):
            if not alike(&c.rivals[0].packets[n], &c.rivals[r].packets[n]):
                return <int>n
    return -1

cdef inline bint alike(const Packet *a, const Packet *b) noexcept nogil:
    """Octets of a rejected packet count as well: it stays as it was."""
    return a.drop == b.drop and a.length == b.length and memcmp(a.data, b.data, a.length) == 0

cdef void compose(Contest *c, uint32_t n) noexcept nogil:
    """A plain packet of any context."""
    cdef Packet *packet = &c.rivals[0].packets[n]
    cdef uint32_t context = below(c, c.contexts), ssrc = below(c, 8) == 0, octets = size(c)
    begin(c, n, context, KIND_RTP if below(c, 10) else KIND_RTCP, 0)
    if packet.kind == KIND_RTCP:
        packet.length = 8 + octets // 4 * 4
    else:
        packet.length = 12 + octets
    memset(packet.data, <int>(c.chance & 0xFF), packet.length)
    store_be32(packet.data + (4 if packet.kind == KIND_RTCP else 8), 1 + ssrc)
    packet.data[0] = 0x80
    if packet.kind == KIND_RTCP:
        packet.data[1] = 200
        store_be16(packet.data + 2, <uint16_t>(packet.length // 4 - 1))
        return
    packet.data[1] &= 0x3F
    if octets > 80 and below(c, 5) == 0:
        packet.data[0] |= <uint8_t>below(c, 16)         # so many CSRCs
    store_be16(packet.data + 2, next_sequence(c, context, ssrc))

cdef inline uint32_t size(Contest *c) noexcept nogil:
    cdef uint32_t kind = below(c, 8)
    if kind < 4:
        return 160
    return below(c, 200) if kind < 7 else below(c, 1480)

cdef inline uint16_t next_sequence(Contest *c, uint32_t context, uint32_t ssrc) noexcept nogil:
    """Mostly the next; leaps, steps back and the same again (a sender's fault, to be refused)."""
    cdef uint32_t kind = below(c, 64)
    cdef uint16_t before = c.sequence[context][ssrc]
    cdef uint16_t step = 1
    if kind < 2:
        step = <uint16_t>below(c, 1500)
    elif kind == 3:
        step = <uint16_t>(0 - below(c, 3))
    c.sequence[context][ssrc] += step
    c.wraps += before > 60000 and c.sequence[context][ssrc] < 5000
    return c.sequence[context][ssrc]

cdef void keep(Contest *c, uint32_t count) noexcept nogil:
    """Into the pool what was protected and is not lost."""
    cdef const Packet *packet
    cdef Waiting *one
    cdef uint32_t n
    for n in range(count):
        packet = &c.rivals[0].packets[n]
        if packet.drop != DROP_NONE:
            continue
        c.sealed += 1
        if below(c, 33) == 0:
            continue
        one = &c.pool[c.waiting]
        c.waiting += 1
        memcpy(one.data, packet.data, packet.length)
        one.length, one.context, one.kind = packet.length, packet.crypto >> 1, packet.kind
        one.passed = one.leaves = 0

cdef void take(Contest *c, uint32_t n) noexcept nogil:
    """Out of the pool: any one, as it is or spoilt. A spoilt or doubled one may come again."""
    cdef Waiting *one = &c.pool[below(c, c.waiting)]
    cdef uint32_t kind = below(c, 32), octet
    cdef Packet *packet = begin(c, n, one.context, one.kind, 1)
    c.arrivals[n].of, c.arrivals[n].forged = one, kind < 4
    memcpy(packet.data, one.data, one.length)
    packet.length = one.length
    if kind == 0:
        packet.length -= min(packet.length, 1 + below(c, 40))
    elif kind < 4:
        octet = <uint32_t>(c.position % one.length)
        c.position += 1
        packet.data[octet] ^= <uint8_t>(1 << below(c, 8))
    elif kind < 30:
        one.leaves = 1

cdef void judge(Contest *c, uint32_t count) noexcept nogil:
    """What must hold whatever the back end, and what leaves the pool. Without a tag nothing must hold: a forged
    sequence number moves the index, and with another index a copy is a new packet."""
    cdef Arrival *arrival
    cdef uint32_t n
    cdef uint16_t drop
    cdef uint8_t tagged                                 # 0 or 1
    for n in range(c.waiting):
        c.pool[n].passed &= 0x7F                        # bit 7: seen in this batch
    for n in range(count):
        arrival, drop = &c.arrivals[n], c.rivals[0].packets[n].drop
        c.arrived += 1
        c.verdicts[drop] += 1
        c.forged += arrival.forged
        c.copies += arrival.of.passed >> 7
        arrival.of.passed |= 0x80
        tagged = c.tagged[arrival.of.context] or arrival.of.kind == KIND_RTCP
        if drop != DROP_NONE:
            continue
        if arrival.forged:
            c.forged_passed += tagged
        else:
            c.passed_twice += tagged & arrival.of.passed
            arrival.of.passed |= 1
    n = 0
    while n < c.waiting:
        if c.pool[n].leaves:
            c.waiting -= 1
            c.pool[n] = c.pool[c.waiting]
        else:
            n += 1

cdef inline Packet *begin(Contest *c, uint32_t n, uint32_t context, uint8_t kind, uint32_t opens) noexcept nogil:
    cdef Packet *packet = &c.rivals[0].packets[n]
    memset(packet, 0, sizeof(Packet))
    packet.data, packet.capacity = c.rivals[0].frames + n * FRAME + HEADROOM, ROOM
    packet.crypto, packet.kind, packet.received_ns = 2 * context + opens, kind, c.now_ns
    return packet

cdef inline uint32_t below(Contest *c, uint32_t limit) noexcept nogil:
    """xorshift64"""
    c.chance ^= c.chance << 13
    c.chance ^= c.chance >> 7
    c.chance ^= c.chance << 17
    return <uint32_t>((c.chance >> 32) % limit)


# --- set-up ----------------------------------------------------------------------------------------------------

cdef set_up(Contest *c, backends, transforms, uint64_t seed):
    cdef EngineSizes sizes
    cdef uint32_t n, r
    c.count, c.suites, c.contexts = len(backends), len(transforms), len(transforms) * VARIANTS
    c.chance, c.now_ns = seed * 2 + 1, 1000000000
    sizes.cryptos = sizes.keys = 2 * c.contexts
    sizes.streams = 2 * SSRCS * c.contexts
    before = _select.selected()
    for n in range(c.contexts):
        c.sequence[n][0] = c.sequence[n][1] = <uint16_t>(65000 + n)
    try:
        for r in range(c.count):
            _select.select(backends[r])
            attach(&c.rivals[r], &sizes)
            for n in range(2 * c.contexts):
                install(c, &c.rivals[r], n, transforms[(n >> 1) % c.suites])
    finally:
        if before is not None:
            _select.select(before)

cdef attach(Rival *rival, const EngineSizes *sizes):
    cdef uint32_t n
    cdef int error
    rival.octets = engine_footprint(sizes)
    rival.memory = pages_new(rival.octets)
    rival.frames = <uint8_t *>pages_new(BATCH * FRAME)
    if rival.memory == NULL or rival.frames == NULL:
        raise MemoryError
    for n in range(BATCH):
        rival.batch[n] = &rival.packets[n]
    error = engine_attach(&rival.engine, rival.memory, sizes, True)
    if error:
        raise OSError(-error, "engine_attach")

cdef install(Contest *c, Rival *rival, uint32_t slot, transform):
    """Slot 2n sends, 2n + 1 receives with the same key."""
    cdef CryptoParameters parameters
    cdef MasterKey key
    cdef uint32_t i, context = slot >> 1, variant = (slot >> 1) // c.suites
    memset(&parameters, 0, sizeof(parameters))
    memset(&key, 0, sizeof(key))
    parameters.cipher, parameters.auth = transform.cipher_kind, transform.auth_kind
    parameters.key_octets, parameters.salt_octets = transform.key_octets, transform.salt_octets
    parameters.rtp_tag, parameters.rtcp_tag = transform.rtp_tag, transform.rtcp_tag
    parameters.flags = 0 if slot & 1 else CRYPTO_SEND
    parameters.mki_octets = 4 if variant == 1 else 0
    parameters.window = 1024 if variant == 2 else 128
    parameters.kdr_log2 = 10 if variant == 3 else 255
    parameters.ssrc_limit = SSRCS
    for i in range(parameters.key_octets):
        key.key[i] = <uint8_t>(context * 37 + i * 11)
    for i in range(parameters.salt_octets):
        key.salt[i] = <uint8_t>(context * 53 + i * 7)
    store_be32(key.mki, context if variant == 1 else 0)
    c.tagged[context] = transform.rtp_tag != 0          # RTCP always has one
    if engine_install(&rival.engine, slot, &parameters, &key):
        raise ValueError("engine_install")

cdef void tear_down(Contest *c) noexcept:
    cdef uint32_t r
    for r in range(c.count):
        if c.rivals[r].engine.header != NULL:
            engine_detach(&c.rivals[r].engine)
        pages_free(c.rivals[r].memory, c.rivals[r].octets)
        pages_free(c.rivals[r].frames, BATCH * FRAME)
    free(c)

cdef str difference(Contest *c, uint32_t n, backends):
    cdef const Packet *packet = &c.rivals[0].packets[n]
    found = []
    for r, name in enumerate(backends):
        packet = &c.rivals[<uint32_t>r].packets[n]
        found.append(f"{name}: {_Drop(packet.drop).name}, {(<const char *>packet.data)[:packet.length].hex()}")
    return f"after {c.sealed} packets, packet {n} of a batch, crypto {packet.crypto}: " + "; ".join(found)
