# cython: language_level=3, boundscheck=False, wraparound=False
"""A snapshot of one crypto, taken from the arena without disturbing its owner; and its Python form."""
from dataclasses import dataclass

from libc.errno cimport EAGAIN, EINVAL, ENOENT
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kernels.srtp.attach cimport header_fits
from kernels.srtp.context cimport CRYPTO_SEND
from kernels.srtp.index cimport replay_started
from kernels.srtp.tables cimport (
    CRYPTO_FREE, CRYPTO_READY, Crypto, Engine, EngineHeader, KeySlot, Lane, MOST_SSRCS, Stream, tables_place,
)
from kernels.wire.atomics cimport load_acquire_u32, load_acquire_u64
from kernels.wire.packet cimport DROP_CRYPTO_COUNT

from kernels.wire.packet import Drop as _Drop


cdef int crypto_status(const void *memory, const EngineSizes *sizes, uint32_t slot, CryptoStatus *out) noexcept nogil:
    """Bounded: every chain is walked at most as far as it may be long, every slot number is checked first."""
    cdef const Crypto *crypto
    cdef const Lane *lane
    cdef Engine engine              # only the places of its tables
    cdef uint32_t before, drop
    if slot >= sizes.cryptos or not header_fits(<const EngineHeader *>memory, sizes):
        return -EINVAL
    tables_place(&engine, <void *>memory, sizes)
    crypto, lane = &engine.cryptos[slot], &engine.lanes[slot]
    before = load_acquire_u32(&crypto.generation)
    if before & 1:
        return -EAGAIN
    if crypto.state == CRYPTO_FREE:
        return -ENOENT
    memset(out, 0, sizeof(CryptoStatus))
    out.parameters = crypto.parameters
    out.state = crypto.state
    out.packets, out.octets, out.resyncs = lane.packets, lane.octets, crypto.resyncs
    for drop in range(DROP_CRYPTO_COUNT):
        out.drops[drop] = crypto.drops[drop]
    keys_status(&engine, sizes, slot, out)
    streams_status(&engine, sizes, crypto, out)
    return 0 if load_acquire_u32(&crypto.generation) == before else -EAGAIN

cdef void keys_status(const Engine *engine, const EngineSizes *sizes, uint32_t number,
                      CryptoStatus *out) noexcept nogil:
    """Each, and which is in use: the sending one, or when receiving the one most used."""
    cdef const KeySlot *keys = engine.keys
    cdef const Crypto *crypto = &engine.cryptos[number]
    cdef const Lane *lane = &engine.lanes[number]
    cdef uint32_t slot = crypto.first_key, chosen = STATUS_KEYS
    cdef bint sends = crypto.parameters.flags & CRYPTO_SEND
    cdef KeyStatus *shown
    while slot < sizes.keys and out.keys < STATUS_KEYS:
        shown = &out.key[out.keys]
        memcpy(shown.mki, keys[slot].mki, crypto.parameters.mki_octets if crypto.parameters.mki_octets <= 128 else 0)
        shown.rtp_packets = keys[slot].rtp_packets - (lane.credit if slot == lane.key else 0)
        shown.rtcp_packets = keys[slot].rtcp_packets
        shown.rtp_lifetime, shown.rtcp_lifetime = keys[slot].rtp_lifetime, keys[slot].rtcp_lifetime
        if slot == crypto.send_key if sends else chosen == STATUS_KEYS or key_use(shown) > key_use(&out.key[chosen]):
            chosen = out.keys
        out.keys += 1
        slot = keys[slot].next
    if chosen == STATUS_KEYS:
        return
    shown = &out.key[chosen]
    shown.in_use = 1
    out.rtp_packets, out.rtcp_packets = shown.rtp_packets, shown.rtcp_packets
    out.rtp_lifetime, out.rtcp_lifetime = shown.rtp_lifetime, shown.rtcp_lifetime
    memcpy(out.mki, shown.mki, sizeof(shown.mki))

cdef inline uint64_t key_use(const KeyStatus *key) noexcept nogil:
    return key.rtp_packets + key.rtcp_packets

cdef void streams_status(const Engine *engine, const EngineSizes *sizes, const Crypto *crypto,
                         CryptoStatus *out) noexcept nogil:
    cdef const Stream *stream
    cdef StreamStatus *shown
    cdef uint32_t slot = crypto.first_stream
    while slot < sizes.streams and out.streams < MOST_SSRCS:
        stream = &engine.streams[slot]
        if out.streams < STATUS_STREAMS:
            shown = &out.stream[out.streams]
            shown.ssrc = stream.ssrc
            shown.rtp_newest = load_acquire_u64(&stream.rtp.newest)
            shown.roc = <uint32_t>(shown.rtp_newest >> 16)
            shown.rtcp_newest = <uint32_t>stream.rtcp.newest
            shown.rtp_started, shown.rtcp_started = replay_started(&stream.rtp), replay_started(&stream.rtcp)
            shown.packets, shown.last_ns = stream.packets, stream.last_ns
        out.streams += 1
        slot = stream.next


# --- for Python ------------------------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class SsrcView:
    """One SSRC of a crypto; newest indices are None before the first packet."""

    ssrc: int
    roc: int
    rtp_newest: int | None
    rtcp_newest: int | None
    packets: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class KeyView:
    """One master key of a crypto: packets under it, and after how many it ends (RFC 3711 section 9.2)."""

    mki: bytes
    in_use: bool
    rtp_packets: int
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int


@dataclass(frozen=True, slots=True)
class CryptoView:
    """What may be shown of a crypto (row A06): never keys. drops: by Drop name, lower case without DROP_, those > 0."""

    ready: bool
    send: bool
    keys: int
    mki: bytes
    packets: int
    octets: int
    resyncs: int
    rtp_packets: int
    rtcp_packets: int
    rtp_lifetime: int
    rtcp_lifetime: int
    streams: int
    ssrcs: tuple[SsrcView, ...]
    drops: dict[str, int]
    each_key: tuple[KeyView, ...] = ()


cdef object view(const CryptoStatus *status):
    cdef uint32_t i
    cdef uint32_t shown = min(status.streams, <uint32_t>STATUS_STREAMS)
    return CryptoView(
        ready=status.state == CRYPTO_READY, send=bool(status.parameters.flags & CRYPTO_SEND), keys=status.keys,
        mki=(<const char *>status.mki)[:status.parameters.mki_octets],
        packets=status.packets, octets=status.octets, resyncs=status.resyncs,
        rtp_packets=status.rtp_packets, rtcp_packets=status.rtcp_packets,
        rtp_lifetime=status.rtp_lifetime, rtcp_lifetime=status.rtcp_lifetime, streams=status.streams,
        ssrcs=tuple([ssrc_view(&status.stream[i]) for i in range(shown)]),
        drops={drop.name[5:].lower(): status.drops[<int>drop] for drop in _Drop
               if drop < DROP_CRYPTO_COUNT and status.drops[<int>drop]},
        each_key=tuple([key_view(&status.key[i], status.parameters.mki_octets) for i in range(status.keys)]))

cdef object key_view(const KeyStatus *key, int mki_octets):
    return KeyView(mki=(<const char *>key.mki)[:mki_octets], in_use=bool(key.in_use), rtp_packets=key.rtp_packets,
                   rtcp_packets=key.rtcp_packets, rtp_lifetime=key.rtp_lifetime, rtcp_lifetime=key.rtcp_lifetime)

cdef object ssrc_view(const StreamStatus *stream):
    return SsrcView(ssrc=stream.ssrc, roc=stream.roc, rtp_newest=stream.rtp_newest if stream.rtp_started else None,
                    rtcp_newest=stream.rtcp_newest if stream.rtcp_started else None,
                    packets=stream.packets, last_ns=stream.last_ns)
